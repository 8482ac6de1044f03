"""Channels in the places of pixels, and pixels in the places of channels."""

from __future__ import annotations

import tensorflow as tf


def to_pixels(inputs: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Puts channels in the places of pixels.

    The channels of an upper left pixel come first, and all channels of one pixel are together.

    Args:
        inputs: `[batch, height, width, rows · columns · channels]`.
        size: how many rows and columns a pixel becomes.

    Returns:
        `[batch, height · rows, width · columns, channels]`.
    """
    batch, height, width, channels = inputs.shape
    rows, columns = size
    filters = channels // (rows * columns)
    if rows > 1:
        # The rows of all images are one axis, so that there are never more than four.
        split = tf.reshape(inputs, [batch * height, width, rows, columns * filters])
        # LiteRT's reference kernels do not know the present version of DEPTH_TO_SPACE.
        inputs = tf.transpose(split, [0, 2, 1, 3])
    return tf.reshape(inputs, [batch, height * rows, width * columns, filters])


def to_channels(inputs: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Puts pixels in the places of channels, the inverse of `to_pixels`.

    Args:
        inputs: `[batch, height · rows, width · columns, channels]`.
        size: how many rows and columns become one pixel.

    Returns:
        `[batch, height, width, rows · columns · channels]`.
    """
    batch, height, width, channels = inputs.shape
    rows, columns = size
    height, width = height // rows, width // columns
    if rows > 1:
        split = tf.reshape(inputs, [batch * height, rows, width, columns * channels])
        inputs = tf.transpose(split, [0, 2, 1, 3])
    return tf.reshape(inputs, [batch, height, width, rows * columns * channels])
