"""Quantization schemes for `tfmot.quantization.keras.quantize_apply`."""

from tf_n2uq.schemes.annotation import annotate
from tf_n2uq.schemes.calibration import calibrate
from tf_n2uq.schemes.model_summary import summary
from tf_n2uq.schemes.n2uq import N2UQQuantizeConfig, N2UQScheme
from tf_n2uq.schemes.n2uq_pact import N2UQPACTQuantizeConfig

__all__ = [
    'N2UQPACTQuantizeConfig',
    'N2UQQuantizeConfig',
    'N2UQScheme',
    'annotate',
    'calibrate',
    'summary',
]
