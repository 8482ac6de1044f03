"""Quantization schemes for `tfmot.quantization.keras.quantize_apply`."""

from tf_n2uq.schemes.adabits import AdaBitsScheme
from tf_n2uq.schemes.adaptive import active_bits, bit_widths, extract, set_bits
from tf_n2uq.schemes.adaptive_config import AdaptiveQuantizeConfig
from tf_n2uq.schemes.added_bits import add_bits
from tf_n2uq.schemes.annotation import annotate
from tf_n2uq.schemes.calibration import calibrate
from tf_n2uq.schemes.dorefa import DoReFaQuantizeConfig, DoReFaScheme
from tf_n2uq.schemes.lsq import LSQQuantizeConfig, LSQScheme
from tf_n2uq.schemes.model_summary import summary
from tf_n2uq.schemes.n2uq import N2UQQuantizeConfig, N2UQScheme
from tf_n2uq.schemes.n2uq_pact import N2UQPACTQuantizeConfig
from tf_n2uq.schemes.pact import PACTQuantizeConfig, PACTScheme
from tf_n2uq.schemes.recalibration import recalibrate_batch_norm
from tf_n2uq.schemes.sat import SATQuantizeConfig, SATScheme

__all__ = [
    'AdaBitsScheme',
    'AdaptiveQuantizeConfig',
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
    'active_bits',
    'add_bits',
    'annotate',
    'bit_widths',
    'calibrate',
    'extract',
    'recalibrate_batch_norm',
    'set_bits',
    'summary',
]
