"""SAT's rescaling of quantized kernels, which keeps activations from growing layer by layer.

Jin, Yang, Liao: "Towards Efficient Training for Neural Network Quantization", 2019,
https://arxiv.org/abs/1912.10207.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import tensorflow as tf


def rescale_factor(
    kernel: tf.Tensor,
    quantized: tf.Tensor,
    rescale: str | None,
    channel_axis: int | Sequence[int] = -1,
) -> tf.Tensor:
    """Returns the factor on a quantized kernel, which counts as a constant in training.

    Args:
        kernel: The float kernel, float32.
        quantized: The quantized kernel, of the same shape.
        rescale: None for the factor 1. 'constant' for 1/√(fan_out·var(quantized)), so that every
            layer has the same variance whatever the variance of the float kernel is. 'stddev' for
            std(kernel)/std(quantized), so that a trained kernel keeps its variance.
        channel_axis: The axis, or axes, of the output channels: (−2, −1) for DepthwiseConv2D.

    Returns:
        float32 `[]`; 1 for a quantized kernel that has the same value everywhere.

    Raises:
        ValueError: There is no such rescaling.
    """
    check_rescale(rescale)
    if rescale is None:
        return tf.ones([])
    kernel, quantized = tf.stop_gradient(kernel), tf.stop_gradient(quantized)
    factor = _FACTORS[rescale](kernel, quantized, channel_axis)
    return tf.where(tf.math.is_finite(factor) & (factor > 0), factor, tf.ones_like(factor))


def check_rescale(rescale: str | None) -> str | None:
    """Returns the name of a rescaling, or says which there are.

    Args:
        rescale: The name that a user gave, or None.

    Raises:
        ValueError: There is no such rescaling.
    """
    if rescale is not None and rescale not in _FACTORS:
        raise ValueError(
            f'rescale: expected None or one of {", ".join(map(repr, _FACTORS))}, got {rescale!r}; '
            'choose one of these.'
        )
    return rescale


def _constant(
    kernel: tf.Tensor, quantized: tf.Tensor, channel_axis: int | Sequence[int]
) -> tf.Tensor:
    del kernel
    size = quantized.shape.num_elements()
    # The published variance is that of a sample: its sum of squares over one value fewer.
    variance = tf.math.reduce_variance(quantized) * (size / max(size - 1, 1))
    return tf.math.rsqrt(variance * _fan_out(quantized.shape, channel_axis))


def _stddev(
    kernel: tf.Tensor, quantized: tf.Tensor, channel_axis: int | Sequence[int]
) -> tf.Tensor:
    del channel_axis
    return tf.math.reduce_std(kernel) / tf.math.reduce_std(quantized)


def _fan_out(shape: tf.TensorShape, channel_axis: int | Sequence[int]) -> int:
    """Returns the number of output channels times positions, which leaves out input channels."""
    rank = shape.rank
    axes = [channel_axis] if isinstance(channel_axis, int) else channel_axis
    outputs = {axis % rank for axis in axes}
    inputs = {rank - 2, rank - 1} - outputs
    return shape.num_elements() // math.prod(shape[axis] for axis in inputs if axis >= 0)


_FACTORS: dict[str, Callable[..., tf.Tensor]] = {'constant': _constant, 'stddev': _stddev}
