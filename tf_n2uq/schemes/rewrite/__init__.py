"""The graph rewrite that puts quantizers and ranges into a network."""
