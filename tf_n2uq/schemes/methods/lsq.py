"""The method LSQ: kernels and inputs in multiples of learned steps."""

from __future__ import annotations

import tf_keras as keras

from tf_n2uq.quantizers import LSQInputQuantizer, LSQQuantizer
from tf_n2uq.schemes.methods.method_config import MethodQuantizeConfig
from tf_n2uq.schemes.methods.registry import register_method
from tf_n2uq.schemes.methods.scheme import LowBitScheme


@keras.saving.register_keras_serializable(package='tf_n2uq')
class LSQQuantizeConfig(MethodQuantizeConfig):
    """Quantizes one layer as LSQ does, from 2 to 7 bits; at 8 the layer is plain int8.

    The kernel has one step (`quantizers.LSQQuantizer`), and the input has another
    (`quantizers.LSQInputQuantizer`).

    Source: Esser et al., "Learned Step Size Quantization", ICLR 2020, section 2.
    """

    def method_kernel_quantizer(self, channel_axis: int | tuple[int, int]) -> LSQQuantizer:
        del channel_axis
        return LSQQuantizer(self.weight_bits, signed=True)

    def method_input_quantizer(self) -> LSQInputQuantizer:
        return LSQInputQuantizer(self.activation_bits)


@register_method('lsq', 'LSQ')
class LSQScheme(LowBitScheme):
    """The scheme for `tfmot.quantization.keras.quantize_apply(model, scheme=LSQScheme(2))`.

    Kernels have the signed levels −2^(b−1)..2^(b−1) − 1, and their step starts at the paper's value
    for their weights. Inputs have the levels 0..2^b − 1, unless `calibrate` finds negative values
    that signed levels serve better.

    Source: Esser et al., "Learned Step Size Quantization", ICLR 2020.
    """

    def make_config(self, weight_bits: int, activation_bits: int) -> LSQQuantizeConfig:
        return LSQQuantizeConfig(activation_bits, weight_bits, activation_bits)
