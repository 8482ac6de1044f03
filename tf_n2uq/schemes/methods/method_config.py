"""The base class of the configs of methods."""

from __future__ import annotations

import abc
from typing import Any

from tf_n2uq.quantizers import (
    ActivationQuantizer,
    KernelQuantizer,
    RangeQuantizer,
    ScaledQuantizer,
    SymmetricQuantizer,
)
from tf_n2uq.quantizers.bits import check_bits
from tf_n2uq.schemes.rewrite.kernel_config import KernelQuantizeConfig


class MethodQuantizeConfig(KernelQuantizeConfig, abc.ABC):
    """Quantizes one layer by a method from 2 to 7 bits, and as plain int8 at 8.

    At 8 bits an int8 tensor has no more values than there are levels. The input then is the int8
    tensor itself, and the kernel is symmetric int8 per output channel, whatever the method.

    A method derives its config from this class and says which quantizers it has:

        @keras.saving.register_keras_serializable(package='mine')
        class MyQuantizeConfig(tf_n2uq.MethodQuantizeConfig):
            def method_kernel_quantizer(self, channel_axis):
                return MyKernelQuantizer(self.weight_bits, channel_axis)

            def method_input_quantizer(self):
                return MyInputQuantizer(self.activation_bits)

    Attributes:
        bits: The bit-width of kernel and input, unless one of the others says something else.
        weight_bits: The bit-width of the kernel.
        activation_bits: The bit-width of the input.
    """

    def __init__(
        self,
        bits: int = 2,
        weight_bits: int | None = None,
        activation_bits: int | None = None,
    ) -> None:
        """Creates the config.

        Args:
            bits: The bit-width of kernel and input, 2..8.
            weight_bits: The bit-width of the kernel, `bits` if None.
            activation_bits: The bit-width of the input, `bits` if None.

        Raises:
            TypeError: A bit-width is not an integer.
            ValueError: A bit-width is not in 2..8.
        """
        self.bits = check_bits(bits)
        self.weight_bits = check_bits(bits if weight_bits is None else weight_bits, 'weight_bits')
        self.activation_bits = check_bits(
            bits if activation_bits is None else activation_bits, 'activation_bits'
        )

    @abc.abstractmethod
    def method_kernel_quantizer(self, channel_axis: int | tuple[int, int]) -> KernelQuantizer:
        """Returns the method's quantizer for a kernel.

        Args:
            channel_axis: The axis of the kernel's output channels, or both for a depthwise kernel.

        Returns:
            A new quantizer for `weight_bits`, which are 2..7.
        """

    @abc.abstractmethod
    def method_input_quantizer(self) -> ActivationQuantizer:
        """Returns the method's quantizer for the layer's input.

        Returns:
            A new quantizer for `activation_bits`, which are 2..7.
        """

    def kernel_quantizer(self, channel_axis: int | tuple[int, int]) -> KernelQuantizer:
        if self.weight_bits == 8:
            return SymmetricQuantizer(8, channel_axis)
        return self.method_kernel_quantizer(channel_axis)

    def input_quantizer(self) -> ActivationQuantizer | None:
        return None if self.activation_bits == 8 else self.method_input_quantizer()

    def activation_quantizer(self) -> ScaledQuantizer:
        return self.input_quantizer() or RangeQuantizer(8)

    def get_config(self) -> dict[str, Any]:
        return {
            'bits': self.bits,
            'weight_bits': self.weight_bits,
            'activation_bits': self.activation_bits,
        }
