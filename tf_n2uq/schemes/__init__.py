"""Quantization schemes for `tfmot.quantization.keras.quantize_apply`."""

from tf_n2uq.schemes.calibration import calibrate
from tf_n2uq.schemes.n2uq import N2UQQuantizeConfig, N2UQScheme

__all__ = ['N2UQQuantizeConfig', 'N2UQScheme', 'calibrate']
