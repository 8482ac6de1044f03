"""Classes that TensorFlow Model Optimization (TFMOT) does not publish."""

# The wrapper by which `tfmot.quantization.keras.quantize_annotate_layer` marks a layer. The
# function is public, but whoever reads an annotated model has to recognize the wrapper in it.
# Nothing public replaces it in TFMOT 0.8.1.
from tensorflow_model_optimization.python.core.quantization.keras.quantize_annotate import (
    QuantizeAnnotate,
)

__all__ = ['QuantizeAnnotate']
