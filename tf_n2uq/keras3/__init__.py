"""Models of Keras 3, as models of tf_keras."""
