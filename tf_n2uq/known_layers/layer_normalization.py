"""Layer normalization, taken apart into layers that an integer file has operators for."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.graph.graph import Ref, Step
from tf_n2uq.layers import ChannelAffine, ChannelMean, InverseDeviation
from tf_n2uq.layers.layer_spec import InputShape, Kind, LayerSpec, is_last_axis, register_layer
from tf_n2uq.schemes.rewrite.decomposition import Parts
from tf_n2uq.tflite.network.form import IntegerCall
from tf_n2uq.tflite.network.kernel_forms import KernelForm, multiply_dense
from tf_n2uq.tflite.network.kernels import IntegerKernel
from tf_n2uq.tflite.network.lookup import LookupForm

_LAYERS = keras.layers


def _layer_normalization(parts: Parts, step: Step) -> Ref:
    """Makes a mean, a difference, a square, a variance, an inverse deviation, and a product."""
    layer, (source,) = step.layer, step.inputs
    mean = parts.add(ChannelMean(), 'mean', source)
    centered = parts.add(_LAYERS.Subtract(), 'centered', source, mean)
    square = parts.add(_LAYERS.Multiply(), 'square', centered, centered)
    variance = parts.add(ChannelMean(), 'variance', square)
    inverse = parts.add(InverseDeviation(layer.epsilon), 'inverse_deviation', variance)
    normalized = parts.add(_LAYERS.Multiply(), 'normalized', centered, inverse)
    return add_affine(parts, step, normalized)


def add_affine(parts: Parts, step: Step, normalized: Ref) -> Ref:
    """Adds the learned scale and offset of a normalization, if the normalization has them.

    Args:
        parts: gets a `ChannelAffine` with the scale and the offset.
        step: the call of the normalization, which has `scale`, `center`, and their variables.
        normalized: the normalized tensor, without scale and offset.

    Returns:
        The tensor with scale and offset; `normalized` itself if there are none.
    """
    layer = step.layer
    if not (layer.scale or layer.center):
        return normalized
    result = parts.add(ChannelAffine(trainable=layer.trainable), 'affine', normalized)
    for _, arrays in step.restore:
        gamma = arrays[0] if layer.scale else np.ones_like(arrays[0])
        beta = arrays[-1] if layer.center else np.zeros_like(arrays[0])
        parts.give_weights([gamma, beta])
    return result


def _axis_refusal(layer: keras.layers.Layer, shape: InputShape) -> str | None:
    if is_last_axis(layer.axis, shape):
        return None
    axes = [int(axis) for axis in np.atleast_1d(layer.axis)]
    return f'normalizes over axes {axes}; expected the last axis alone, that of the channels'


def _mean_kernel(call: IntegerCall) -> IntegerKernel:
    return IntegerKernel.of_channel_mean(call.channels)


def _inverse(layer: keras.layers.Layer, variance: tf.Tensor, scale: float) -> tf.Tensor:
    return layer.inverse(variance, scale)


register_layer(
    _LAYERS.LayerNormalization,
    LayerSpec(Kind.NEW_RANGE, refusal=_axis_refusal, decomposition=_layer_normalization),
)
register_layer(
    ChannelMean, LayerSpec(Kind.NEW_RANGE, form=KernelForm(_mean_kernel, multiply_dense))
)
register_layer(InverseDeviation, LayerSpec(Kind.NEW_RANGE, form=LookupForm(_inverse)))
