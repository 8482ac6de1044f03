"""The method N2UQ: learned input thresholds, uniform output levels, entropy-preserving kernels."""

from __future__ import annotations

import tf_keras as keras

from tf_n2uq.quantizers import EntropyPreservingQuantizer, LearnableThresholdQuantizer
from tf_n2uq.schemes.methods.method_config import MethodQuantizeConfig
from tf_n2uq.schemes.methods.registry import register_method
from tf_n2uq.schemes.methods.scheme import LowBitScheme


@keras.saving.register_keras_serializable(package='tf_n2uq')
class N2UQQuantizeConfig(MethodQuantizeConfig):
    """Quantizes one layer as N2UQ does, from 2 to 7 bits; at 8 the layer is plain int8.

    Kernels go through `quantizers.EntropyPreservingQuantizer`, inputs through
    `quantizers.LearnableThresholdQuantizer`.

    Source: Liu et al., "Nonuniform-to-Uniform Quantization: Towards Accurate Quantization via
    Generalized Straight-Through Estimation", CVPR 2022, sections 3.2 and 3.3.
    """

    def method_kernel_quantizer(
        self, channel_axis: int | tuple[int, int]
    ) -> EntropyPreservingQuantizer:
        return EntropyPreservingQuantizer(self.weight_bits, channel_axis)

    def method_input_quantizer(self) -> LearnableThresholdQuantizer:
        return LearnableThresholdQuantizer(self.activation_bits)


@register_method('n2uq', 'N2UQ')
class N2UQScheme(LowBitScheme):
    """The scheme for `tfmot.quantization.keras.quantize_apply(model, scheme=N2UQScheme(2))`.

    Every annotated convolution and dense layer gets a quantized kernel. In front of the layer
    stands a quantizer whose thresholds are learned, for that layer alone.

    Source: Liu et al., "Nonuniform-to-Uniform Quantization: Towards Accurate Quantization via
    Generalized Straight-Through Estimation", CVPR 2022.
    """

    def make_config(self, weight_bits: int, activation_bits: int) -> N2UQQuantizeConfig:
        return N2UQQuantizeConfig(activation_bits, weight_bits, activation_bits)
