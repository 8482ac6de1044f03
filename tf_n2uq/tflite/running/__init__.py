"""The execution of TFLite files: interpreters, accuracy, latency and memory."""
