"""Low-bit quantization-aware training for tf_keras, down to an integer TFLite file."""

from tf_n2uq import checkpoints, data, layers, models, ops, quantizers, tflite, training
from tf_n2uq.schemes import (
    N2UQPACTQuantizeConfig,
    N2UQQuantizeConfig,
    N2UQScheme,
    annotate,
    calibrate,
    summary,
)

__version__ = '0.1.0'

__all__ = [
    'N2UQPACTQuantizeConfig',
    'N2UQQuantizeConfig',
    'N2UQScheme',
    'annotate',
    'calibrate',
    'checkpoints',
    'data',
    'layers',
    'models',
    'ops',
    'quantizers',
    'summary',
    'tflite',
    'training',
]
