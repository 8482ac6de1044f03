"""N2UQ: learnable input thresholds, uniform output levels, entropy-preserving kernels."""

from __future__ import annotations

from typing import Any

import tensorflow_model_optimization as tfmot
import tf_keras as keras

from tf_n2uq.quantizers import (
    EntropyPreservingQuantizer,
    LearnableThresholdQuantizer,
    RangeQuantizer,
    SymmetricQuantizer,
)
from tf_n2uq.quantizers.bits import check_bits
from tf_n2uq.schemes.config import KernelQuantizeConfig
from tf_n2uq.schemes.scheme import LowBitScheme

_Quantizer = tfmot.quantization.keras.quantizers.Quantizer


@keras.saving.register_keras_serializable(package='tf_n2uq')
class N2UQQuantizeConfig(KernelQuantizeConfig):
    """Quantizes one layer as N2UQ does.

    Source: "Nonuniform-to-Uniform Quantization" (CVPR 2022), sections 3.1 and 3.2.

    From 2 to 7 bits, the kernel is entropy-preserving and the input goes through learnable
    thresholds. At 8 bits, an int8 tensor has no more values than levels: there the input is its
    8-bit range and the kernel is symmetric int8 per output channel.
    """

    def __init__(
        self,
        bits: int = 2,
        weight_bits: int | None = None,
        activation_bits: int | None = None,
    ) -> None:
        """Creates the config.

        Args:
            bits: bit-width of kernel and input, 2..8.
            weight_bits: bit-width of the kernel, `bits` if None.
            activation_bits: bit-width of the input, `bits` if None.

        Raises:
            TypeError: if a bit-width is not an integer.
            ValueError: if a bit-width is outside 2..8.
        """
        self.bits = check_bits(bits)
        self.weight_bits = check_bits(bits if weight_bits is None else weight_bits, 'weight_bits')
        self.activation_bits = check_bits(
            bits if activation_bits is None else activation_bits, 'activation_bits'
        )

    def kernel_quantizer(self, channel_axis: int | tuple[int, int]) -> _Quantizer:
        if self.weight_bits == 8:
            return SymmetricQuantizer(8, channel_axis)
        return EntropyPreservingQuantizer(self.weight_bits, channel_axis)

    def input_quantizer(self) -> _Quantizer | None:
        if self.activation_bits == 8:
            return None
        return LearnableThresholdQuantizer(self.activation_bits)

    def activation_quantizer(self) -> _Quantizer:
        return self.input_quantizer() or RangeQuantizer(8)

    def get_config(self) -> dict[str, Any]:
        return {
            'bits': self.bits,
            'weight_bits': self.weight_bits,
            'activation_bits': self.activation_bits,
        }


class N2UQScheme(LowBitScheme):
    """The scheme for `tfmot.quantization.keras.quantize_apply(model, scheme=N2UQScheme(2))`.

    Every annotated convolution and dense layer gets a quantized kernel and, in front of it, a
    quantizer with learnable thresholds of its own.

    Source: "Nonuniform-to-Uniform Quantization" (CVPR 2022).
    """

    def make_config(self, weight_bits: int, activation_bits: int) -> N2UQQuantizeConfig:
        return N2UQQuantizeConfig(activation_bits, weight_bits, activation_bits)
