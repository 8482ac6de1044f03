"""The decided graph as an integer TensorFlow function."""
