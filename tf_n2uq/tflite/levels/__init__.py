"""Thresholds as plans of integer operators, in NumPy only."""
