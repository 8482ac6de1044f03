"""Calibration of a network of one bit-width: start values from kernels and from data."""
