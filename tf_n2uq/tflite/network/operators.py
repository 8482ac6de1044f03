"""Integer kernels as TensorFlow operators that the converter takes as they are."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from tf_n2uq.tflite.network.kernels import IntegerKernel
from tf_n2uq.tflite.passes.builder import MOST_CONCATENATED


def convolve(
    inputs: tf.Tensor,
    kernel: IntegerKernel,
    strides: tuple[int, int],
    dilations: tuple[int, int],
    padding: str,
    is_depthwise: bool,
) -> tf.Tensor:
    """Runs a convolution and adds its bias.

    Args:
        inputs: `[batch, height, width, channels]`.
        kernel: `[height, width, channels per group, output channels]`, or `[height, width,
            channels · multiplier]` for a depthwise convolution.
        strides: the strides of rows and columns.
        dilations: the dilations of rows and columns.
        padding: 'same' or 'valid'.
        is_depthwise: whether each channel has kernels of its own.

    Returns:
        `[batch, height, width, output channels]`, float32.
    """
    if is_depthwise:
        return depthwise(inputs, kernel, strides, padding.upper(), dilations)
    convolved = tf.nn.conv2d(inputs, kernel.on_grid(), strides, padding.upper(), 'NHWC', dilations)
    return convolved + kernel.bias_constant()


def run_dense(inputs: tf.Tensor, kernel: IntegerKernel) -> tf.Tensor:
    """Runs a dense kernel and adds its bias.

    It runs as a 1×1 convolution, for which the converter keeps a scale per channel.

    Args:
        inputs: `[batch, …, channels]`.
        kernel: `[channels, units]`.

    Returns:
        `[batch, …, units]`, float32.
    """
    features, units = kernel.integers.shape
    kernel_4d = dataclasses.replace(kernel, integers=kernel.integers[None, None])
    is_image = inputs.shape.rank == 4
    batch, *between, _ = inputs.shape
    image = inputs if is_image else tf.reshape(inputs, [batch, 1, -1, features])
    outputs = tf.nn.conv2d(image, kernel_4d.on_grid(), 1, 'VALID') + kernel.bias_constant()
    return outputs if is_image else tf.reshape(outputs, [batch, *between, units])


def depthwise_1x1(inputs: tf.Tensor, kernel: IntegerKernel) -> tf.Tensor:
    """Runs a 1×1 depthwise kernel, which is a line per channel, and adds its bias.

    Args:
        inputs: `[batch, …, channels]`.
        kernel: `[1, 1, channels · multiplier]`.

    Returns:
        `[batch, …, channels · multiplier]`, float32.
    """
    if inputs.shape.rank == 4:
        return depthwise(inputs, kernel)
    batch, *between, channels = inputs.shape
    image = tf.reshape(inputs, [batch, 1, -1, channels])
    return tf.reshape(depthwise(image, kernel), [batch, *between, kernel.bias.size])


def depthwise(
    inputs: tf.Tensor,
    kernel: IntegerKernel,
    strides: tuple[int, int] = (1, 1),
    padding: str = 'VALID',
    dilations: tuple[int, int] = (1, 1),
) -> tf.Tensor:
    """Runs a depthwise kernel and adds its bias.

    Args:
        inputs: `[batch, height, width, channels]`.
        kernel: `[height, width, channels · multiplier]`.
        strides: the strides of rows and columns.
        padding: 'SAME' or 'VALID'.
        dilations: the dilations of rows and columns.

    Returns:
        `[batch, height, width, channels · multiplier]`, float32.
    """
    channels = inputs.shape[-1]
    grid = kernel.on_grid()
    split = tf.reshape(grid, [*grid.shape[:2], channels, grid.shape[-1] // channels])
    outputs = tf.nn.depthwise_conv2d(
        inputs, split, strides=(1, *strides, 1), padding=padding, dilations=dilations
    )
    return outputs + kernel.bias_constant()


def concatenate(parts: Sequence[tf.Tensor], axis: int) -> tf.Tensor:
    """Joins tensors along an axis, only as many at a time as XNNPACK takes."""
    while len(parts) > MOST_CONCATENATED:
        starts = range(0, len(parts), MOST_CONCATENATED)
        parts = [concatenate(parts[start : start + MOST_CONCATENATED], axis) for start in starts]
    return tf.concat(parts, axis) if len(parts) > 1 else parts[0]
