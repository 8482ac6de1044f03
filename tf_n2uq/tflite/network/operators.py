"""Integer kernels as TensorFlow operators that the converter takes as they are."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import tensorflow as tf
import tf_keras as keras

from tf_n2uq.layers import ChannelMean, QuantizedKernel
from tf_n2uq.tflite.network.kernels import IntegerKernel
from tf_n2uq.tflite.network.transposed import run_transposed
from tf_n2uq.tflite.passes.builder import MOST_CONCATENATED

_LAYERS = keras.layers
_ALONG_ONE_AXIS = (_LAYERS.Conv1D, _LAYERS.DepthwiseConv1D, _LAYERS.AveragePooling1D)


def apply_kernel(layer: keras.layers.Layer, inputs: tf.Tensor, kernel: IntegerKernel) -> tf.Tensor:
    """Runs a layer on the integer grid of its kernel.

    Args:
        layer: a convolution or dense layer, an average or maximum over windows, a mean over
            channels: strides, padding and dilation are taken from it. Of any other layer the
            kernel is a line per channel.
        inputs: `[1, …, channels]`.
        kernel: integers, units and bias.

    Returns:
        The layer's output before any activation, float32.
    """
    output_shape = layer.output_shape
    layer = layer.layer if isinstance(layer, QuantizedKernel) else layer
    if isinstance(layer, (_LAYERS.Dense, ChannelMean)):
        return run_dense(inputs, kernel)
    if isinstance(layer, _LAYERS.Conv2DTranspose):
        return run_transposed(layer, inputs, kernel, output_shape[1:3])
    if isinstance(layer, _ALONG_ONE_AXIS):
        return _along_one_axis(layer, inputs, kernel)
    if isinstance(layer, (_LAYERS.AveragePooling2D, _LAYERS.MaxPooling2D)):
        return depthwise(inputs, kernel, layer.strides)
    if not isinstance(layer, (_LAYERS.Conv2D, _LAYERS.DepthwiseConv2D)):
        return run_line(inputs, kernel)
    return _convolve(inputs, kernel, layer, layer.strides, layer.dilation_rate, layer.padding)


def _convolve(
    inputs: tf.Tensor,
    kernel: IntegerKernel,
    layer: keras.layers.Layer,
    strides: tuple[int, int],
    dilations: tuple[int, int],
    padding: str,
) -> tf.Tensor:
    if isinstance(layer, (_LAYERS.DepthwiseConv1D, _LAYERS.DepthwiseConv2D)):
        return depthwise(inputs, kernel, strides, padding.upper(), dilations)
    convolved = tf.nn.conv2d(inputs, kernel.on_grid(), strides, padding.upper(), 'NHWC', dilations)
    return convolved + kernel.bias_constant()


def _along_one_axis(
    layer: keras.layers.Layer, inputs: tf.Tensor, kernel: IntegerKernel
) -> tf.Tensor:
    """A layer over `[1, length, channels]` as one over images of one row."""
    image = tf.expand_dims(inputs, 1)
    # TensorFlow's depthwise convolution strides alike in both directions; there is one row.
    strides = (layer.strides[0], layer.strides[0])
    if isinstance(layer, _LAYERS.AveragePooling1D):
        return tf.squeeze(depthwise(image, kernel, strides), 1)
    dilations, padding = (1, layer.dilation_rate[0]), layer.padding
    if padding == 'causal':
        before = dilations[1] * (layer.kernel_size[0] - 1)
        image, padding = tf.pad(image, [[0, 0], [0, 0], [before, 0], [0, 0]]), 'valid'
    row = dataclasses.replace(kernel, integers=kernel.integers[None])
    return tf.squeeze(_convolve(image, row, layer, strides, dilations, padding), 1)


def run_dense(inputs: tf.Tensor, kernel: IntegerKernel) -> tf.Tensor:
    """Runs a dense kernel, as the 1×1 convolution that keeps per-channel scales in the converter.

    Args:
        inputs: `[1, …, channels]`.
        kernel: `[channels, units]`.

    Returns:
        `[1, …, units]`, float32.
    """
    features, units = kernel.integers.shape
    kernel_4d = dataclasses.replace(kernel, integers=kernel.integers[None, None])
    is_image = inputs.shape.rank == 4
    image = inputs if is_image else tf.reshape(inputs, [1, 1, -1, features])
    outputs = tf.nn.conv2d(image, kernel_4d.on_grid(), 1, 'VALID') + kernel.bias_constant()
    return outputs if is_image else tf.reshape(outputs, [1, *inputs.shape[1:-1], units])


def run_line(inputs: tf.Tensor, kernel: IntegerKernel) -> tf.Tensor:
    """Runs a 1×1 depthwise kernel on `[1, …, channels]`; all but the channels stays."""
    if inputs.shape.rank == 4:
        return depthwise(inputs, kernel)
    image = tf.reshape(inputs, [1, 1, -1, inputs.shape[-1]])
    return tf.reshape(depthwise(image, kernel), [1, *inputs.shape[1:-1], kernel.bias.size])


def depthwise(
    inputs: tf.Tensor,
    kernel: IntegerKernel,
    strides: tuple[int, int] = (1, 1),
    padding: str = 'VALID',
    dilations: tuple[int, int] = (1, 1),
) -> tf.Tensor:
    """Runs a depthwise kernel and adds its bias.

    Args:
        inputs: `[1, height, width, channels]`.
        kernel: `[height, width, channels · multiplier]`.
        strides: of rows and columns.
        padding: 'SAME' or 'VALID'.
        dilations: of rows and columns.

    Returns:
        `[1, height, width, channels · multiplier]`, float32.
    """
    channels = inputs.shape[-1]
    grid = kernel.on_grid()
    split = tf.reshape(grid, [*grid.shape[:2], channels, grid.shape[-1] // channels])
    outputs = tf.nn.depthwise_conv2d(
        inputs, split, strides=(1, *strides, 1), padding=padding, dilations=dilations
    )
    return outputs + kernel.bias_constant()


def concatenate(parts: Sequence[tf.Tensor], axis: int) -> tf.Tensor:
    """Joins tensors along an axis, a few at a time."""
    while len(parts) > MOST_CONCATENATED:
        starts = range(0, len(parts), MOST_CONCATENATED)
        parts = [concatenate(parts[start : start + MOST_CONCATENATED], axis) for start in starts]
    return tf.concat(parts, axis) if len(parts) > 1 else parts[0]
