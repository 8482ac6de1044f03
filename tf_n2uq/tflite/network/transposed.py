"""Transposed convolutions as convolutions whose output channels are pixels."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.tflite.network.kernels import IntegerKernel


def run_transposed(
    layer: keras.layers.Conv2DTranspose,
    inputs: tf.Tensor,
    kernel: IntegerKernel,
    size: tuple[int, int],
) -> tf.Tensor:
    """Runs a transposed convolution of stride s exactly, as a convolution of stride 1.

    An output pixel s·m + r reads the inputs m, m − 1, … with the elements r, s + r, … of the
    kernel. This is one convolution for each remainder r. Together, these are one convolution with
    s² times the output channels, which are then put in the places of their pixels. Unlike
    TRANSPOSE_CONV, this convolution has a scale per output channel, and its kernel may have few
    bits.

    Args:
        layer: the layer, which gives the strides and the padding.
        inputs: `[batch, height, width, channels]`.
        kernel: `[height, width, channels, output channels]`.
        size: the height and width of the output.

    Returns:
        `[batch, output height, output width, output channels]`, float32.

    Raises:
        ValueError: if the strides differ or the layer is dilated. The message names the layer.
    """
    stride = layer.strides[0]
    if layer.strides != (stride, stride) or layer.dilation_rate != (1, 1):
        raise ValueError(
            f'model: expected one stride for both directions and no dilation in layer '
            f'{layer.name!r}, got strides {layer.strides} and dilation_rate {layer.dilation_rate}. '
            'Use UpSampling2D and Conv2D in its place.'
        )
    phases = _phases(kernel, stride)
    taps = phases.integers.shape[:2]
    padding = [[0, 0], *([tap - 1, tap - 1] for tap in taps), [0, 0]]
    outputs = tf.nn.conv2d(tf.pad(inputs, padding), phases.on_grid(), 1, 'VALID')
    outputs += phases.bias_constant()
    if stride > 1:
        outputs = _to_pixels(outputs, stride)
    return _cropped(layer, outputs, size)


def _phases(kernel: IntegerKernel, stride: int) -> IntegerKernel:
    """Returns the kernels of all `stride`² convolutions as one kernel.

    The output channels of the same pixel are together.
    """
    *sizes, channels, filters = kernel.integers.shape
    taps = [-(-size // stride) for size in sizes]
    padding = [(0, tap * stride - size) for tap, size in zip(taps, sizes, strict=True)]
    padded = np.pad(kernel.integers, [*padding, (0, 0), (0, 0)])
    split = padded.reshape(taps[0], stride, taps[1], stride, channels, filters)
    # The first tap of a convolution reads the first input, so the taps are reversed.
    ordered = split[::-1, :, ::-1].transpose(0, 2, 4, 1, 3, 5)
    return dataclasses.replace(
        kernel,
        integers=ordered.reshape(*taps, channels, stride * stride * filters),
        unit=np.tile(kernel.unit, stride * stride),
        bias=np.tile(kernel.bias, stride * stride),
    )


def _to_pixels(inputs: tf.Tensor, stride: int) -> tf.Tensor:
    """Puts channels in the places of pixels: `[b, h, w, s · s · c]` → `[b, h · s, w · s, c]`."""
    batch, height, width, channels = inputs.shape
    filters = channels // stride**2
    # The rows of all images are one axis, so that there are never more than four.
    rows = tf.reshape(inputs, [batch * height, width, stride, stride * filters])
    # LiteRT's reference kernels do not know the present version of DEPTH_TO_SPACE.
    ordered = tf.transpose(rows, [0, 2, 1, 3])
    return tf.reshape(ordered, [batch, height * stride, width * stride, filters])


def _cropped(
    layer: keras.layers.Conv2DTranspose, outputs: tf.Tensor, size: tuple[int, int]
) -> tf.Tensor:
    """Returns the part of all pixels that the layer returns, padded with zeros if need be."""
    ends, missing = [], [[0, 0]]
    for there, kernel, stride, wanted in zip(
        outputs.shape[1:3], layer.kernel_size, layer.strides, size, strict=True
    ):
        begin = max(kernel - stride, 0) // 2 if layer.padding == 'same' else 0
        end = min(there, begin + wanted)
        ends.append((begin, end))
        missing.append([0, wanted - (end - begin)])
    (top, bottom), (left, right) = ends
    outputs = outputs[:, top:bottom, left:right]
    if any(after for _, after in missing):
        outputs = tf.pad(outputs, [*missing, [0, 0]])
    return outputs
