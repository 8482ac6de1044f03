"""LSQ: kernels and inputs in multiples of learned steps."""

from __future__ import annotations

import tensorflow_model_optimization as tfmot
import tf_keras as keras

from tf_n2uq.quantizers import LSQInputQuantizer, LSQQuantizer
from tf_n2uq.schemes.methods.method_config import MethodQuantizeConfig
from tf_n2uq.schemes.methods.scheme import LowBitScheme

_Quantizer = tfmot.quantization.keras.quantizers.Quantizer


@keras.saving.register_keras_serializable(package='tf_n2uq')
class LSQQuantizeConfig(MethodQuantizeConfig):
    """Quantizes one layer as LSQ does: one step for the kernel and one for the input.

    Source: "Learned Step Size Quantization" (ICLR 2020), section 2.

    From 2 to 7 bits; at 8 the layer is plain int8.
    """

    def method_kernel_quantizer(self, channel_axis: int | tuple[int, int]) -> _Quantizer:
        del channel_axis
        return LSQQuantizer(self.weight_bits, signed=True)

    def method_input_quantizer(self) -> _Quantizer:
        return LSQInputQuantizer(self.activation_bits)


class LSQScheme(LowBitScheme):
    """The scheme for `tfmot.quantization.keras.quantize_apply(model, scheme=LSQScheme(2))`.

    Kernels have signed levels −2^(b−1)..2^(b−1) − 1, and the paper's start step from their weights.
    Inputs have 0..2^b − 1, unless `calibrate` finds negative values that signed levels serve
    better.

    Source: "Learned Step Size Quantization" (ICLR 2020).
    """

    def make_config(self, weight_bits: int, activation_bits: int) -> LSQQuantizeConfig:
        return LSQQuantizeConfig(activation_bits, weight_bits, activation_bits)
