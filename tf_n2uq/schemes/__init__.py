"""Quantization schemes for `tfmot.quantization.keras.quantize_apply`."""

from tf_n2uq.schemes.adaptive.adabits import AdaBitsScheme
from tf_n2uq.schemes.adaptive.adaptive_config import AdaptiveQuantizeConfig
from tf_n2uq.schemes.adaptive.added_bits import add_bits
from tf_n2uq.schemes.adaptive.switching import active_bits, bit_widths, extract, set_bits
from tf_n2uq.schemes.annotate import annotate
from tf_n2uq.schemes.calibrate import calibrate
from tf_n2uq.schemes.calibration.batch_norm import recalibrate_batch_norm
from tf_n2uq.schemes.methods.dorefa import DoReFaQuantizeConfig, DoReFaScheme
from tf_n2uq.schemes.methods.lsq import LSQQuantizeConfig, LSQScheme
from tf_n2uq.schemes.methods.lsq_plus import LSQPlusQuantizeConfig, LSQPlusScheme
from tf_n2uq.schemes.methods.n2uq import N2UQQuantizeConfig, N2UQScheme
from tf_n2uq.schemes.methods.n2uq_pact import N2UQPACTQuantizeConfig
from tf_n2uq.schemes.methods.pact import PACTQuantizeConfig, PACTScheme
from tf_n2uq.schemes.methods.sat import SATQuantizeConfig, SATScheme
from tf_n2uq.schemes.model_summary import summary

__all__ = [
    'AdaBitsScheme',
    'AdaptiveQuantizeConfig',
    'DoReFaQuantizeConfig',
    'DoReFaScheme',
    'LSQPlusQuantizeConfig',
    'LSQPlusScheme',
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
