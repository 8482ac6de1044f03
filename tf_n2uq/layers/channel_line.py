"""Layers that are, at inference, one line per channel."""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras

from tf_n2uq.layers.channel_affine import ChannelAffine
from tf_n2uq.layers.channel_scale import ChannelScale
from tf_n2uq.layers.switchable_batch_normalization import SwitchableBatchNormalization

_LINES = (
    keras.layers.BatchNormalization,
    keras.layers.Rescaling,
    keras.layers.Normalization,
    ChannelAffine,
    ChannelScale,
    SwitchableBatchNormalization,
)


def is_channel_line(layer: keras.layers.Layer) -> bool:
    """Tells whether a layer multiplies and shifts each channel (of the last axis) by itself.

    Classes are looked up exactly: a user's subclass may compute something else.
    """
    if type(layer) is keras.layers.Normalization:
        # The fourth axis of an image is its last one.
        return tuple(layer.axis) in ((), (-1,), (3,))
    return type(layer) in _LINES


def line_of(layer: keras.layers.Layer) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns slope and offset of a layer for which `is_channel_line` holds, at inference.

    Args:
        layer: a built layer.

    Returns:
        Two tensors, float64 `[channels]`.
    """
    slope, offset = _line(layer)
    channels = [layer.input_shape[-1]]
    return (
        tf.broadcast_to(tf.reshape(slope, [-1]), channels),
        tf.broadcast_to(tf.reshape(offset, [-1]), channels),
    )


def _line(layer: keras.layers.Layer) -> tuple[tf.Tensor, tf.Tensor]:
    zero = tf.zeros([], tf.float64)
    if isinstance(layer, keras.layers.Rescaling):
        return _double(layer.scale), _double(layer.offset)
    if isinstance(layer, keras.layers.Normalization):
        deviation = tf.maximum(tf.sqrt(_double(layer.variance)), keras.backend.epsilon())
        if layer.invert:
            return deviation, _double(layer.mean)
        return 1.0 / deviation, -_double(layer.mean) / deviation
    if isinstance(layer, ChannelAffine):
        return _double(layer.gamma), _double(layer.beta)
    if isinstance(layer, ChannelScale):
        return _double(layer.scale), zero
    slope = tf.math.rsqrt(_double(layer.moving_variance) + layer.epsilon)
    if layer.gamma is not None:
        slope = slope * _double(layer.gamma)
    offset = -_double(layer.moving_mean) * slope
    return slope, offset if layer.beta is None else offset + _double(layer.beta)


def _double(value: object) -> tf.Tensor:
    return tf.cast(tf.convert_to_tensor(value), tf.float64)
