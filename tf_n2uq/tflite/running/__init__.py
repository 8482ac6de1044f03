"""Running TFLite files: interpreters, accuracy, latency, memory."""
