"""Low-bit quantization-aware training for tf_keras, down to an integer TFLite file."""

from tf_n2uq._compat import start_up as start_up  # isort: split

from tf_n2uq import (
    checkpoints,
    data,
    layers,
    models,
    ops,
    quantizers,
    tflite,
    training,
)
from tf_n2uq import known_layers as known_layers
from tf_n2uq.keras3 import from_keras3, to_keras3_weights
from tf_n2uq.layers import Deployment
from tf_n2uq.schemes import (
    AdaBitsScheme,
    AdaptiveQuantizeConfig,
    DoReFaQuantizeConfig,
    DoReFaScheme,
    LSQPlusQuantizeConfig,
    LSQPlusScheme,
    LSQQuantizeConfig,
    LSQScheme,
    N2UQPACTQuantizeConfig,
    N2UQQuantizeConfig,
    N2UQScheme,
    PACTQuantizeConfig,
    PACTScheme,
    SATQuantizeConfig,
    SATScheme,
    active_bits,
    add_bits,
    annotate,
    bit_widths,
    calibrate,
    extract,
    recalibrate_batch_norm,
    set_bits,
    summary,
)
from tf_n2uq.schemes.methods import Method, method, methods, register_method
from tf_n2uq.schemes.methods.method_config import MethodQuantizeConfig
from tf_n2uq.schemes.methods.scheme import LowBitScheme
from tf_n2uq.schemes.rewrite.bit_policy import BitPolicy

__version__ = '0.1.0'

__all__ = [
    'AdaBitsScheme',
    'AdaptiveQuantizeConfig',
    'BitPolicy',
    'Deployment',
    'DoReFaQuantizeConfig',
    'DoReFaScheme',
    'LSQPlusQuantizeConfig',
    'LSQPlusScheme',
    'LSQQuantizeConfig',
    'LSQScheme',
    'LowBitScheme',
    'Method',
    'MethodQuantizeConfig',
    'N2UQPACTQuantizeConfig',
    'N2UQQuantizeConfig',
    'N2UQScheme',
    'PACTQuantizeConfig',
    'PACTScheme',
    'SATQuantizeConfig',
    'SATScheme',
    'active_bits',
    'add_bits',
    'annotate',
    'bit_widths',
    'calibrate',
    'checkpoints',
    'data',
    'extract',
    'from_keras3',
    'layers',
    'method',
    'methods',
    'models',
    'ops',
    'quantizers',
    'recalibrate_batch_norm',
    'register_method',
    'set_bits',
    'summary',
    'tflite',
    'to_keras3_weights',
    'training',
]
