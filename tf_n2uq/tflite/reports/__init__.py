"""Reports that explain TFLite files, and checks that accept them."""
