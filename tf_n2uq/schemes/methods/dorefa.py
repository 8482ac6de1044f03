"""The method DoReFa-Net: kernels normalized by tanh, inputs clipped to a fixed value."""

from __future__ import annotations

import tf_keras as keras

from tf_n2uq.quantizers import DoReFaInputQuantizer, DoReFaQuantizer
from tf_n2uq.schemes.methods.method_config import MethodQuantizeConfig
from tf_n2uq.schemes.methods.registry import register_method
from tf_n2uq.schemes.methods.scheme import LowBitScheme


@keras.saving.register_keras_serializable(package='tf_n2uq')
class DoReFaQuantizeConfig(MethodQuantizeConfig):
    """Quantizes one layer as DoReFa-Net does, from 2 to 7 bits; at 8 the layer is plain int8.

    Kernels go through `quantizers.DoReFaQuantizer`, inputs through
    `quantizers.DoReFaInputQuantizer`.

    Source: Zhou et al., "DoReFa-Net: Training Low Bitwidth Convolutional Neural Networks with Low
    Bitwidth Gradients", 2016, sections 2.3 and 2.4.
    """

    def method_kernel_quantizer(self, channel_axis: int | tuple[int, int]) -> DoReFaQuantizer:
        return DoReFaQuantizer(self.weight_bits, channel_axis=channel_axis)

    def method_input_quantizer(self) -> DoReFaInputQuantizer:
        return DoReFaInputQuantizer(self.activation_bits)


@register_method('dorefa', 'DoReFa')
class DoReFaScheme(LowBitScheme):
    """The scheme for `tfmot.quantization.keras.quantize_apply(model, scheme=DoReFaScheme(2))`.

    Inputs are clipped to 0..1 as in the paper, whose networks keep their activations in that range.
    For other networks, `calibrate` sets each clipping value to the one that fits the data, and
    training leaves it there. Negative inputs become 0. A layer whose input is signed (behind a
    linear layer or a sum) loses the negative half, which `N2UQScheme`, `LSQScheme` and
    `LSQPlusScheme` keep.

    The quantized kernels fill −1..1, however small the float kernels are. The scheme scales the
    moving mean and variance of a batch normalization behind the layer accordingly. A layer without
    one gives larger numbers than in float, and `SATScheme`, which rescales, serves a network of
    many such layers better.

    Source: Zhou et al., "DoReFa-Net: Training Low Bitwidth Convolutional Neural Networks with Low
    Bitwidth Gradients", 2016. Gradients stay in float here.
    """

    def make_config(self, weight_bits: int, activation_bits: int) -> DoReFaQuantizeConfig:
        return DoReFaQuantizeConfig(activation_bits, weight_bits, activation_bits)
