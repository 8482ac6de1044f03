"""What TensorFlow's converter for TFLite does not publish."""

from __future__ import annotations

# The class of the converter's errors, which `tf.lite` does not name. If it names the class, that
# name replaces this one.
from tensorflow.lite.python.convert_phase import ConverterError

# The converter calls this function last, when `inference_input_type` is set. A file that is joined
# of two files has no converter that could call it. Nothing public changes the types of a file.
from tensorflow.lite.python.util import modify_model_io_type

__all__ = ['ConverterError', 'modify_model_io_type']
