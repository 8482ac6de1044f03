"""Low-bit quantization-aware training for tf_keras, down to an integer TFLite file."""

from tf_n2uq import checkpoints, data, layers, models, ops, quantizers, tflite, training
from tf_n2uq.schemes import (
    DoReFaQuantizeConfig,
    DoReFaScheme,
    LSQQuantizeConfig,
    LSQScheme,
    N2UQPACTQuantizeConfig,
    N2UQQuantizeConfig,
    N2UQScheme,
    PACTQuantizeConfig,
    PACTScheme,
    SATQuantizeConfig,
    SATScheme,
    annotate,
    calibrate,
    summary,
)

__version__ = '0.1.0'

__all__ = [
    'DoReFaQuantizeConfig',
    'DoReFaScheme',
    'LSQQuantizeConfig',
    'LSQScheme',
    'N2UQPACTQuantizeConfig',
    'N2UQQuantizeConfig',
    'N2UQScheme',
    'PACTQuantizeConfig',
    'PACTScheme',
    'SATQuantizeConfig',
    'SATScheme',
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
