"""Symmetric uniform quantization of kernels, for layers that stay at 8 bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tf_n2uq.ops.channels import reduction_axes


def symmetric_integers(
    kernel: tf.Tensor, bits: int, channel_axis: int | Sequence[int] = -1
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the symmetrically quantized kernel as integers and their scales, for the export.

    Args:
        kernel: A kernel of any rank >= 1 and of a floating point dtype.
        bits: The bit-width, 2..8.
        channel_axis: The axis, or axes, of the output channels: (−2, −1) for DepthwiseConv2D.

    Returns:
        int32 of the kernel's shape, −(2^(b−1) − 1)..2^(b−1) − 1 (narrow range, as TFLite stores
        kernels); and float32 scales of the rank of `kernel`, with length 1 in every axis that is
        not a channel axis. integers·scale is `symmetric` of the float32 kernel, bit by bit. The
        scale of a channel of zeros is 0.

    Raises:
        ValueError: `channel_axis` is not an axis of `kernel`.
    """
    integers, scale = _integers(kernel, bits, channel_axis)
    return tf.cast(integers, tf.int32), scale


def symmetric(kernel: tf.Tensor, bits: int, channel_axis: int | Sequence[int] = -1) -> tf.Tensor:
    """Rounds a kernel to integer multiples of max|w|/(2^(b−1) − 1) per output channel.

    Nothing is clipped, so the straight-through gradient is the identity.

    Args:
        kernel: As for `symmetric_integers`.
        bits: As for `symmetric_integers`.
        channel_axis: As for `symmetric_integers`.

    Returns:
        A tensor with the shape and dtype of `kernel`, computed in float32. A channel of zeros stays
        zero.

    Raises:
        ValueError: As for `symmetric_integers`.
    """
    kernel = tf.convert_to_tensor(kernel)

    @tf.custom_gradient
    def function(kernel: tf.Tensor) -> tuple[tf.Tensor, Any]:
        integers, scale = _integers(kernel, bits, channel_axis)
        return tf.cast(integers * scale, kernel.dtype), lambda dy: dy

    return function(kernel)


def _integers(
    kernel: tf.Tensor, bits: int, channel_axis: int | Sequence[int]
) -> tuple[tf.Tensor, tf.Tensor]:
    kernel = tf.cast(kernel, tf.float32)
    largest_integer = 2 ** (bits - 1) - 1
    axes = reduction_axes(kernel.shape, channel_axis)
    scale = tf.reduce_max(tf.abs(kernel), axes, keepdims=True) / largest_integer
    # Division by a denormal scale can round past the largest integer.
    integers = tf.round(tf.math.divide_no_nan(kernel, scale))
    return tf.clip_by_value(integers, -largest_integer, largest_integer), scale
