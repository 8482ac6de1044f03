"""N2UQ: learnable input thresholds, uniform output levels, entropy-preserving kernels."""

from __future__ import annotations

import tensorflow_model_optimization as tfmot
import tf_keras as keras

from tf_n2uq.quantizers import EntropyPreservingQuantizer, LearnableThresholdQuantizer
from tf_n2uq.schemes.methods.method_config import MethodQuantizeConfig
from tf_n2uq.schemes.methods.scheme import LowBitScheme

_Quantizer = tfmot.quantization.keras.quantizers.Quantizer


@keras.saving.register_keras_serializable(package='tf_n2uq')
class N2UQQuantizeConfig(MethodQuantizeConfig):
    """Quantizes one layer as N2UQ does.

    Source: "Nonuniform-to-Uniform Quantization" (CVPR 2022), sections 3.1 and 3.2.

    From 2 to 7 bits, the kernel is entropy-preserving and the input goes through learnable
    thresholds. At 8 bits, an int8 tensor has no more values than levels: there the input is its
    8-bit range and the kernel is symmetric int8 per output channel.
    """

    def method_kernel_quantizer(self, channel_axis: int | tuple[int, int]) -> _Quantizer:
        return EntropyPreservingQuantizer(self.weight_bits, channel_axis)

    def method_input_quantizer(self) -> _Quantizer:
        return LearnableThresholdQuantizer(self.activation_bits)


class N2UQScheme(LowBitScheme):
    """The scheme for `tfmot.quantization.keras.quantize_apply(model, scheme=N2UQScheme(2))`.

    Every annotated convolution and dense layer gets a quantized kernel and, in front of it, a
    quantizer with learnable thresholds of its own.

    Source: "Nonuniform-to-Uniform Quantization" (CVPR 2022).
    """

    def make_config(self, weight_bits: int, activation_bits: int) -> N2UQQuantizeConfig:
        return N2UQQuantizeConfig(activation_bits, weight_bits, activation_bits)
