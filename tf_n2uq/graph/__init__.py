"""A Keras model as layer calls, and what each layer does in an integer network."""
