"""Classes that TensorFlow Model Optimization (TFMOT) does not publish."""

# The wrapper by which `tfmot.quantization.keras.quantize_annotate_layer` marks a layer. The
# function is public, but whoever reads an annotated model has to recognize the wrapper in it.
# Nothing public replaces it in TFMOT 0.8.1.
from tensorflow_model_optimization.python.core.quantization.keras.quantize_annotate import (
    QuantizeAnnotate,
)

# What TFMOT's own schemes put around and between layers. A message to a user who has mixed up two
# schemes has to recognize them. Nothing public replaces them in TFMOT 0.8.1.
from tensorflow_model_optimization.python.core.quantization.keras.quantize_layer import (
    QuantizeLayer,
)
from tensorflow_model_optimization.python.core.quantization.keras.quantize_wrapper import (
    QuantizeWrapperV2,
)

__all__ = ['QuantizeAnnotate', 'QuantizeLayer', 'QuantizeWrapperV2']
