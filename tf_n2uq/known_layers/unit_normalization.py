"""Normalization to length 1, taken apart into layers that an integer file has operators for."""

from __future__ import annotations

import math

import tf_keras as keras

from tf_n2uq.graph.graph import Ref, Step
from tf_n2uq.layers import ChannelMean, InverseDeviation
from tf_n2uq.layers.layer_spec import InputShape, Kind, LayerSpec, is_last_axis, register_layer
from tf_n2uq.schemes.rewrite.decomposition import Parts

_LAYERS = keras.layers
# That of `tf.math.l2_normalize`, which concerns vectors only whose numbers are all 0.
_EPSILON = 1e-12


def _unit_normalization(parts: Parts, step: Step) -> Ref:
    """Computes x / √(C · mean(x²)), with C numbers in a vector."""
    (source,) = step.inputs
    square = parts.add(_LAYERS.Multiply(), 'square', source, source)
    mean = parts.add(ChannelMean(), 'mean_square', square)
    inverse = parts.add(InverseDeviation(_EPSILON), 'inverse', mean)
    factor = 1 / math.sqrt(step.input_shape[-1])
    scaled = parts.add(_LAYERS.Rescaling(factor), 'inverse_length', inverse)
    return parts.add(_LAYERS.Multiply(), 'normalized', source, scaled)


def _refusal(layer: keras.layers.Layer, shape: InputShape) -> str | None:
    if is_last_axis(layer.axis, shape):
        return None
    return f'normalizes axis {layer.axis}; expected the last axis alone, that of the channels'


register_layer(
    _LAYERS.UnitNormalization,
    LayerSpec(Kind.NEW_RANGE, refusal=_refusal, decomposition=_unit_normalization),
)
