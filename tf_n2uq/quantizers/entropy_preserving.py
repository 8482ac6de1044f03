"""N2UQ's weight quantizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq.ops.n2uq import entropy_preserving, kernel_integers
from tf_n2uq.quantizers.base import ConfiguredQuantizer
from tf_n2uq.quantizers.bits import check_bits
from tf_n2uq.quantizers.channel_axis import check_channel_axis


@keras.saving.register_keras_serializable(package='tf_n2uq')
class EntropyPreservingQuantizer(ConfiguredQuantizer):
    """Kernels in 2**bits equally spaced levels, scaled so that all levels are about as likely.

    The function and its gradient are `tf_n2uq.ops.entropy_preserving`. It has no variables.

    Source: Liu et al., "Nonuniform-to-Uniform Quantization", CVPR 2022, section 3.3.
    """

    def __init__(self, bits: int, channel_axis: int | Sequence[int] = -1) -> None:
        """Makes a quantizer.

        Args:
            bits: Of the kernel, 2..8.
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

    def __call__(
        self,
        inputs: tf.Tensor,
        training: Any,
        weights: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> tf.Tensor:
        """Quantizes a kernel.

        Args:
            inputs: The kernel, float.
            training: Ignored: a kernel is quantized the same in training and inference.
            weights: Ignored.
            **kwargs: Ignored.

        Returns:
            Shape and dtype of `inputs`.

        Raises:
            ValueError: `channel_axis` is not an axis of the kernel.
        """
        del training, weights, kwargs
        return entropy_preserving(inputs, self.bits, self.channel_axis)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {'bits': self.bits, 'channel_axis': self.channel_axis}

    @property
    def bias_units(self) -> int:
        """How many units of the kernel a bias is a whole number of in an integer file.

        Two for odd integers of 4 bits, which are no INT4 but are stored as such, halved; depthwise
        kernels are not.
        """
        depthwise = not isinstance(self.channel_axis, int)
        return 2 if self.bits == 4 and not depthwise else 1

    def integers(
        self, kernel: tf.Tensor, weights: Mapping[str, Any] | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns a kernel as `integers · unit`, for export; see `tf_n2uq.ops.kernel_integers`.

        Args:
            kernel: float32.
            weights: Ignored.

        Returns:
            int32 of the kernel's shape, and float32 units that broadcast against it.
        """
        del weights
        return kernel_integers(kernel, self.bits, self.channel_axis)
