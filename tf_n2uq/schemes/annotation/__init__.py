"""Rewriting of networks with nested models and TensorFlow functions into layers that are known."""
