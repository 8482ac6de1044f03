"""Several bit-widths in one model."""
