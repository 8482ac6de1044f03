"""Graphs of layer calls, and the decisions about the layers of an integer network."""
