"""Layers that are, at inference, one line per channel."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.graph.graph import Ref, Step
from tf_n2uq.layers import ChannelAffine, ChannelScale, SwitchableBatchNormalization
from tf_n2uq.layers.layer_spec import InputShape, Kind, LayerSpec, is_last_axis, register_layer
from tf_n2uq.schemes.rewrite.decomposition import Parts
from tf_n2uq.tflite.network.line_form import LineForm

_LAYERS = keras.layers
# Where images of 0 to 255 become -1 to 1, each value would lie in the middle between two steps of
# int8, and chance would round it. This factor moves the values by an eighth of a step.
_OFFSET_OFF_TIES = 1 + 2.0**-10


def _double(value: object) -> tf.Tensor:
    return tf.cast(tf.convert_to_tensor(value), tf.float64)


def _batch_normalization_line(layer: keras.layers.Layer) -> tuple[tf.Tensor, tf.Tensor]:
    slope = tf.math.rsqrt(_double(layer.moving_variance) + layer.epsilon)
    if layer.gamma is not None:
        slope = slope * _double(layer.gamma)
    offset = -_double(layer.moving_mean) * slope
    return slope, offset if layer.beta is None else offset + _double(layer.beta)


def _rescaling_line(layer: keras.layers.Layer) -> tuple[tf.Tensor, tf.Tensor]:
    return _double(layer.scale), _double(layer.offset)


def _normalization_line(layer: keras.layers.Layer) -> tuple[tf.Tensor, tf.Tensor]:
    mean = _double(layer.mean)
    deviation = tf.maximum(tf.sqrt(_double(layer.variance)), keras.backend.epsilon())
    if layer.invert:
        return deviation, mean
    return 1.0 / deviation, -mean / deviation


def _affine_line(layer: keras.layers.Layer) -> tuple[tf.Tensor, tf.Tensor]:
    return _double(layer.gamma), _double(layer.beta)


def _scale_line(layer: keras.layers.Layer) -> tuple[tf.Tensor, tf.Tensor]:
    return _double(layer.scale), tf.zeros([], tf.float64)


def _axis_refusal(layer: keras.layers.Layer, shape: InputShape) -> str | None:
    switchable = isinstance(layer, SwitchableBatchNormalization)
    axis: Any = layer.normalizations[0].axis if switchable else layer.axis
    return None if is_last_axis(axis, shape) else _other_axis(axis)


def _normalization_refusal(layer: keras.layers.Layer, shape: InputShape) -> str | None:
    axis = layer.axis
    # Without an axis there is one mean and one variance for all numbers.
    return None if not axis or is_last_axis(axis, shape) else _other_axis(axis)


def _rescaling_refusal(layer: keras.layers.Layer, shape: InputShape) -> str | None:
    for name in ('scale', 'offset'):
        sizes = np.shape(getattr(layer, name))
        per_channel = len(sizes) == 0 or int(np.prod(sizes[:-1])) == 1
        known = shape is not None and not isinstance(shape, list) and shape[-1] is not None
        if not per_channel or (sizes and known and sizes[-1] not in (1, shape[-1])):
            return (
                f'has a {name} of shape {tuple(sizes)}; expected one number, or one number per '
                'channel, which is the last axis'
            )
    return None


def _other_axis(axis: Any) -> str:
    given = [int(each) for each in axis] if hasattr(axis, '__iter__') else int(axis)
    return (
        f'normalizes axis {given}; expected the last axis, which is that of the channels, because '
        'integer operators have a scale per channel only'
    )


def _off_ties(parts: Parts, step: Step) -> Ref | None:
    """Moves the values of a `Rescaling` with an offset off the middle between two steps.

    This concerns only a layer that is an operator of its own.
    """
    layer = step.layer
    # With a range behind it, the layer is one that this function has made.
    if not np.any(layer.offset) or parts.is_folded or parts.is_fused or parts.has_range:
        return None
    offset = (np.asarray(layer.offset) * _OFFSET_OFF_TIES).tolist()
    return parts.add(_LAYERS.Rescaling(layer.scale, offset), 'line', *step.inputs)


def _line(line: Any, **more: Any) -> LayerSpec:
    return LayerSpec(
        kind=Kind.NORMALIZATION, line=line, takes_on_relu=True, form=LineForm(), **more
    )


register_layer(_LAYERS.BatchNormalization, _line(_batch_normalization_line, refusal=_axis_refusal))
register_layer(
    SwitchableBatchNormalization, _line(_batch_normalization_line, refusal=_axis_refusal)
)
register_layer(
    _LAYERS.Rescaling,
    _line(_rescaling_line, refusal=_rescaling_refusal, decomposition=_off_ties),
)
register_layer(_LAYERS.Normalization, _line(_normalization_line, refusal=_normalization_refusal))
register_layer(ChannelAffine, _line(_affine_line))
register_layer(ChannelScale, _line(_scale_line))
