"""The base class of kernel quantizers that learn nothing beside the kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tf_keras as keras

from tf_n2uq.quantizers.base import ConfiguredQuantizer
from tf_n2uq.quantizers.bits import check_bits
from tf_n2uq.quantizers.channel_axis import check_channel_axis


class PlainKernelQuantizer(ConfiguredQuantizer):
    """A quantizer that computes with the kernel alone, and has no variables."""

    def __init__(self, bits: int, channel_axis: int | Sequence[int] = -1) -> None:
        """Makes a quantizer.

        Args:
            bits: The bit-width of the kernel, 2..8.
            channel_axis: The kernel's axis of output channels; (-2, -1) for a depthwise kernel
                `[h, w, c, m]`.

        Raises:
            TypeError: `bits` or an axis is not an integer.
            ValueError: `bits` is not in 2..8.
        """
        self.bits = check_bits(bits)
        self.channel_axis = check_channel_axis(channel_axis)

    def build(self, tensor_shape: Any, name: str, layer: keras.layers.Layer) -> dict[str, Any]:
        """Returns an empty dictionary: there is nothing to learn beside the kernel."""
        del tensor_shape, name, layer
        return {}

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {'bits': self.bits, 'channel_axis': self.channel_axis}
