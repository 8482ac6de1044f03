"""Small named edits of a TFLite file."""
