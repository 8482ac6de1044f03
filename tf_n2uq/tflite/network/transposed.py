"""Transposed convolutions as convolutions whose output channels are pixels."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.tflite.network.kernels import IntegerKernel
from tf_n2uq.tflite.network.operators import convolve
from tf_n2uq.tflite.network.pixels import to_pixels


def run_transposed(
    layer: keras.layers.Conv2DTranspose,
    inputs: tf.Tensor,
    kernel: IntegerKernel,
    size: tuple[int, int],
) -> tf.Tensor:
    """Runs a transposed convolution exactly, as a convolution of stride 1.

    With a stride of s, an output pixel s·m + r reads the inputs m, m − 1, … with the elements r,
    s + r, … of the kernel. This is one convolution for each remainder r. Together, these are one
    convolution with as many times the output channels as there are remainders of rows and columns.
    The output channels are then put in the places of their pixels. Unlike TRANSPOSE_CONV, this
    convolution has a scale per output channel, and its kernel may have few bits.

    Keras has dilation with a stride of 1 only, where the convolution is dilated, too.

    Args:
        layer: the layer, which gives the strides, the dilation and the padding.
        inputs: `[batch, height, width, channels]`.
        kernel: `[height, width, channels, output channels]`.
        size: the height and width of the output.

    Returns:
        `[batch, output height, output width, output channels]`, float32.
    """
    strides, dilations = layer.strides, layer.dilation_rate
    phases = _phases(kernel, strides)
    reaches = [
        (taps - 1) * rate for taps, rate in zip(phases.integers.shape[:2], dilations, strict=True)
    ]
    padded = tf.pad(inputs, [[0, 0], *([reach, reach] for reach in reaches), [0, 0]])
    outputs = convolve(padded, phases, (1, 1), dilations, 'valid', is_depthwise=False)
    if max(strides) > 1:
        outputs = to_pixels(outputs, strides)
    return _cropped(layer, outputs, size)


def _phases(kernel: IntegerKernel, strides: tuple[int, int]) -> IntegerKernel:
    """Returns the kernels of the convolutions for all remainders as one kernel.

    The output channels of the same pixel are together.
    """
    *sizes, channels, filters = kernel.integers.shape
    taps = [-(-size // stride) for size, stride in zip(sizes, strides, strict=True)]
    padding = [
        (0, tap * stride - size) for tap, stride, size in zip(taps, strides, sizes, strict=True)
    ]
    padded = np.pad(kernel.integers, [*padding, (0, 0), (0, 0)])
    split = padded.reshape(taps[0], strides[0], taps[1], strides[1], channels, filters)
    # The first tap of a convolution reads the first input, so the taps are reversed.
    ordered = split[::-1, :, ::-1].transpose(0, 2, 4, 1, 3, 5)
    count = strides[0] * strides[1]
    return dataclasses.replace(
        kernel,
        integers=ordered.reshape(*taps, channels, count * filters),
        unit=np.tile(kernel.unit, count),
        bias=np.tile(kernel.bias, count),
    )


def _cropped(
    layer: keras.layers.Conv2DTranspose, outputs: tf.Tensor, size: tuple[int, int]
) -> tf.Tensor:
    """Returns the part of all pixels that the layer returns, padded with zeros if need be."""
    ends, missing = [], [[0, 0]]
    for there, kernel, stride, rate, wanted in zip(
        outputs.shape[1:3],
        layer.kernel_size,
        layer.strides,
        layer.dilation_rate,
        size,
        strict=True,
    ):
        begin = max(rate * (kernel - 1) + 1 - stride, 0) // 2 if layer.padding == 'same' else 0
        end = min(there, begin + wanted)
        ends.append((begin, end))
        missing.append([0, wanted - (end - begin)])
    (top, bottom), (left, right) = ends
    outputs = outputs[:, top:bottom, left:right]
    if any(after for _, after in missing):
        outputs = tf.pad(outputs, [*missing, [0, 0]])
    return outputs
