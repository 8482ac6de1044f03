"""The kernel quantizer of 8-bit layers, of any method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq.ops.uniform import symmetric, symmetric_integers
from tf_n2uq.quantizers.plain_kernel import PlainKernelQuantizer


@keras.saving.register_keras_serializable(package='tf_n2uq')
class SymmetricQuantizer(PlainKernelQuantizer):
    """Kernels rounded to multiples of a unit per output channel, as TFLite stores int8 kernels.

    The unit is u = max|w|/(2**(bits−1) − 1), and the output is round(w/u)·u.

    Nothing is clipped, and the gradient is the identity. The function is `tf_n2uq.ops.symmetric`.
    The quantizer has no variables.

    Source: TensorFlow Lite's 8-bit quantization specification, per-axis kernels.
    """

    def __init__(self, bits: int = 8, channel_axis: int | Sequence[int] = -1) -> None:
        """Makes a quantizer.

        Args:
            bits: The bit-width of the kernel, 2..8.
            channel_axis: The kernel's axis of output channels; (-2, -1) for a depthwise kernel
                `[h, w, c, m]`.

        Raises:
            TypeError: `bits` or an axis is not an integer.
            ValueError: `bits` is not in 2..8.
        """
        super().__init__(bits, channel_axis)

    def __call__(
        self,
        inputs: tf.Tensor,
        training: Any,
        weights: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> tf.Tensor:
        """Quantizes a kernel.

        Args:
            inputs: The kernel, of a floating point dtype.
            training: Ignored: a kernel is quantized the same in training and inference.
            weights: Ignored.
            **kwargs: Ignored.

        Returns:
            A tensor with the shape and dtype of `inputs`.

        Raises:
            ValueError: `channel_axis` is not an axis of the kernel.
        """
        del training, weights, kwargs
        return symmetric(inputs, self.bits, self.channel_axis)

    def integers(
        self, kernel: tf.Tensor, weights: Mapping[str, Any] | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns a kernel as `integers · unit`, for export; see `tf_n2uq.ops.symmetric_integers`.

        Args:
            kernel: The float kernel, float32.
            weights: Ignored.

        Returns:
            int32 of the kernel's shape, and float32 units that broadcast against it.
        """
        del weights
        return symmetric_integers(kernel, self.bits, self.channel_axis)
