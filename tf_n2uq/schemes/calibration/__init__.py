"""Start values from data, for one bit-width."""
