"""The quantization methods, a file each."""
