"""PACT: inputs clipped to a learned value, kernels as in DoReFa-Net."""

from __future__ import annotations

import tensorflow_model_optimization as tfmot
import tf_keras as keras

from tf_n2uq.quantizers import DoReFaQuantizer, PACTQuantizer
from tf_n2uq.schemes.methods.method_config import MethodQuantizeConfig
from tf_n2uq.schemes.methods.scheme import LowBitScheme

_Quantizer = tfmot.quantization.keras.quantizers.Quantizer


@keras.saving.register_keras_serializable(package='tf_n2uq')
class PACTQuantizeConfig(MethodQuantizeConfig):
    """Quantizes one layer as PACT does.

    Source: "PACT" (2018), sections 3 and 5: the clipping value has the paper's gradient, kernels
    are DoReFa-Net's.

    From 2 to 7 bits; at 8 the layer is plain int8.
    """

    def method_kernel_quantizer(self, channel_axis: int | tuple[int, int]) -> _Quantizer:
        return DoReFaQuantizer(self.weight_bits, channel_axis=channel_axis)

    def method_input_quantizer(self) -> _Quantizer:
        return PACTQuantizer(self.activation_bits, 'paper')


class PACTScheme(LowBitScheme):
    """The scheme for `tfmot.quantization.keras.quantize_apply(model, scheme=PACTScheme(2))`.

    Each clipping value is learned, from what `calibrate` finds on. The paper adds an L2 penalty on
    them to the loss, which is left to the training. Negative inputs become 0: a layer whose input
    is signed (behind a linear layer or a sum) loses that half, which `N2UQScheme` and `LSQScheme`
    keep.

    The quantized kernels fill −1..1, however small the float ones are. What a batch normalization
    behind a layer knows of its output is changed accordingly when the scheme is applied; a layer
    without one gives larger numbers than in float, and a network of many such layers is better
    off with `SATScheme`, which rescales.

    Source: "PACT: Parameterized Clipping Activation for Quantized Neural Networks" (2018).
    """

    def make_config(self, weight_bits: int, activation_bits: int) -> PACTQuantizeConfig:
        return PACTQuantizeConfig(activation_bits, weight_bits, activation_bits)
