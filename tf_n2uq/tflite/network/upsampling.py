"""Up-sampling with operators that XNNPACK has for integers, and with one rounding at most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from tf_n2uq.tflite.network.form import IntegerCall
from tf_n2uq.tflite.network.kernels import IntegerKernel
from tf_n2uq.tflite.network.line_form import fitted
from tf_n2uq.tflite.network.operators import concatenate, depthwise

# The largest integer of an int8 kernel.
_LARGEST_WEIGHT = 127


def repeat(inputs: tf.Tensor, sizes: int | tuple[int, int]) -> tf.Tensor:
    """Repeats rows and columns by concatenations, as up-sampling to the nearest pixel does.

    Args:
        inputs: `[batch, length, channels]` or `[batch, height, width, channels]`.
        sizes: the number of repetitions per axis.

    Returns:
        `[batch, length · size, channels]` or `[batch, height · size, width · size, channels]`.
    """
    batch, *lengths, channels = inputs.shape
    factors = [sizes] if isinstance(sizes, int) else list(sizes)
    rows = lengths[0] if len(lengths) == 2 else 1
    # In memory, a repeated pixel or row is the same as copies of its numbers side by side.
    pixels = tf.reshape(inputs, [batch, rows * lengths[-1], channels])
    widened = tf.reshape(concatenate([pixels] * factors[-1], -1), [batch, rows, -1])
    if len(lengths) == 2:
        widened = concatenate([widened] * factors[0], -1)
    result = [length * factor for length, factor in zip(lengths, factors, strict=True)]
    return tf.reshape(widened, [batch, *result, channels])


def bilinear_kernel(channels: int, size: tuple[int, int]) -> IntegerKernel:
    """Makes the depthwise kernel that interpolates between the pixels of an image.

    Args:
        channels: the number of channels of the image.
        size: the number of rows and of columns that one row and one column become.

    Returns:
        The kernel `[3, 3, channels · rows · columns]`, with the weights of each pixel and its
        neighbours. It is exact if `weights_fit` holds.
    """
    rows, columns = (_whole_weights(factor) for factor in size)
    integers = np.einsum('ir,jc->ijrc', rows, columns).reshape(3, 3, -1)
    integers = np.tile(integers.astype(np.int32), channels)
    outputs = integers.shape[-1]
    unit = np.full(outputs, 1.0 / (_parts_of_a_pixel(size[0]) * _parts_of_a_pixel(size[1])))
    return IntegerKernel(integers, unit, np.zeros(outputs))


def weights_fit(size: Sequence[int]) -> bool:
    """Tells whether the weights of bilinear up-sampling are integers of int8 in one kernel.

    Args:
        size: the number of rows and of columns that one row and one column become.
    """
    rows, columns = (_whole_weights(factor).max() for factor in size)
    return bool(rows * columns <= _LARGEST_WEIGHT)


def interpolate(inputs: tf.Tensor, kernel: IntegerKernel, size: tuple[int, int]) -> tf.Tensor:
    """Interpolates an image with a `bilinear_kernel`, as Keras does.

    TFLite's RESIZE_BILINEAR is no alternative, because it does not round int8 to the nearest.

    Args:
        inputs: `[batch, height, width, channels]`.
        kernel: the kernel for the channels of the image and for `size`.
        size: the number of rows and of columns that one row and one column become.

    Returns:
        `[batch, height · rows, width · columns, channels]`, float32. The centers of the outer
        pixels lie half a pixel from the border, as in Keras.
    """
    batch, height, width, channels = inputs.shape
    # Beyond the border, the outer pixels of the image repeat.
    padded = tf.concat([inputs[:, :1], inputs, inputs[:, -1:]], 1)
    padded = tf.concat([padded[:, :, :1], padded, padded[:, :, -1:]], 2)
    outputs = depthwise(padded, kernel)
    # The rows of all images are one axis, so that there are never more than five.
    split = tf.reshape(outputs, [batch * height, width, channels, *size])
    ordered = tf.transpose(split, [0, 3, 1, 4, 2])
    return tf.reshape(ordered, [batch, height * size[0], width * size[1], channels])


class InterpolationForm:
    """Bilinear up-sampling by whole numbers."""

    def kernels(self, call: IntegerCall) -> dict[str, IntegerKernel]:
        """Returns the kernel that interpolates between pixels."""
        return {'': fitted(bilinear_kernel(call.channels, call.layer.size), call)}

    def run(
        self, call: IntegerCall, inputs: list[tf.Tensor], kernels: Mapping[str, IntegerKernel]
    ) -> tf.Tensor:
        """Runs the kernel and puts the pixels in their places."""
        return interpolate(inputs[0], kernels[''], call.layer.size)


def _whole_weights(factor: int) -> np.ndarray:
    """Returns the weights of the pixel before, the pixel itself and the pixel after it.

    They are float64 `[3, factor]`, for each of the `factor` places within the pixel, and whole
    numbers of parts, see `_parts_of_a_pixel`.
    """
    whole = _parts_of_a_pixel(factor)
    places = ((np.arange(factor) + 0.5) / factor - 0.5) * whole
    before, after = np.maximum(-places, 0), np.maximum(places, 0)
    return np.rint(np.stack([before, whole - before - after, after]))


def _parts_of_a_pixel(factor: int) -> int:
    """Returns how many parts a pixel has if the centers of the new pixels lie between parts."""
    return factor if factor % 2 else 2 * factor
