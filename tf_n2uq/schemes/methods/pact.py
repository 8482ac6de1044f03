"""The method PACT: inputs clipped to a learned value, kernels as in DoReFa-Net."""

from __future__ import annotations

import tf_keras as keras

from tf_n2uq.quantizers import DoReFaQuantizer, PACTQuantizer
from tf_n2uq.schemes.methods.method_config import MethodQuantizeConfig
from tf_n2uq.schemes.methods.registry import register_method
from tf_n2uq.schemes.methods.scheme import LowBitScheme


@keras.saving.register_keras_serializable(package='tf_n2uq')
class PACTQuantizeConfig(MethodQuantizeConfig):
    """Quantizes one layer as PACT does, from 2 to 7 bits; at 8 the layer is plain int8.

    Kernels go through `quantizers.DoReFaQuantizer`, inputs through `quantizers.PACTQuantizer` with
    the paper's gradient.

    Source: Choi et al., "PACT: Parameterized Clipping Activation for Quantized Neural Networks",
    2018, sections 3 and 5.
    """

    def method_kernel_quantizer(self, channel_axis: int | tuple[int, int]) -> DoReFaQuantizer:
        return DoReFaQuantizer(self.weight_bits, channel_axis=channel_axis)

    def method_input_quantizer(self) -> PACTQuantizer:
        return PACTQuantizer(self.activation_bits, 'paper')


@register_method('pact', 'PACT')
class PACTScheme(LowBitScheme):
    """The scheme for `tfmot.quantization.keras.quantize_apply(model, scheme=PACTScheme(2))`.

    Each clipping value is learned, and starts at the value that `calibrate` finds. The paper adds
    an L2 penalty on clipping values to the loss; the scheme leaves that to the training. Negative
    inputs become 0. A layer whose input is signed (behind a linear layer or a sum) loses the
    negative half, which `N2UQScheme`, `LSQScheme` and `LSQPlusScheme` keep.

    The quantized kernels fill −1..1, however small the float kernels are. The scheme scales the
    moving mean and variance of a batch normalization behind the layer accordingly. A layer without
    one gives larger numbers than in float, and `SATScheme`, which rescales, serves a network of
    many such layers better.

    Source: Choi et al., "PACT: Parameterized Clipping Activation for Quantized Neural Networks",
    2018.
    """

    def make_config(self, weight_bits: int, activation_bits: int) -> PACTQuantizeConfig:
        return PACTQuantizeConfig(activation_bits, weight_bits, activation_bits)
