"""Element-wise functions, as layers of their own and as names in `Activation`.

Most of these functions need no operator, because they are part of a quantizer's thresholds, or of
the operator in front of them. A function whose spec has a form can also be an operator of its own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.graph.graph import Ref, Step
from tf_n2uq.layers import HardSigmoid, HardSwish, RPReLU
from tf_n2uq.layers.layer_spec import (
    InputShape,
    Kind,
    LayerSpec,
    activation_name,
    is_last_axis,
    register_layer,
)
from tf_n2uq.schemes.rewrite.decomposition import Parts
from tf_n2uq.tflite.network.form import AsInKeras
from tf_n2uq.tflite.network.line_form import BoundedLineForm
from tf_n2uq.tflite.network.rectifiers import RectifierForm
from tf_n2uq.tflite.network.same_range_form import SameRangeForm

_LAYERS = keras.layers
# Φ(x) is close to a sigmoid of 1.702·x: Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016.
_GELU_SLOPE = 1.702
# TFLite's operators for sigmoid, tanh and softmax write in one scale only.
_PROBABILITIES = (0.0, 255 / 256)
_TANH = (-1.0, 127 / 128)
# The values 1/2 (for the input 0) and 1 are whole steps, and no value lies above 1.
_HARD_SIGMOID = (-1 / 254, 1.0)


def _as_layer(layer: keras.layers.Layer, outputs: tf.Tensor) -> tf.Tensor:
    return layer.call(outputs)


def _unbounded(layer: keras.layers.Layer, outputs: tf.Tensor) -> tf.Tensor:
    del layer
    return outputs


def _not_negative(layer: keras.layers.Layer, outputs: tf.Tensor) -> tf.Tensor:
    del layer
    return tf.nn.relu(outputs)


def _gated(gate: Callable[[], keras.layers.Layer]) -> Callable[[Parts, Step], Ref | None]:
    """Returns a recipe for x times a gate of x, where the layer is no part of thresholds."""

    def recipe(parts: Parts, step: Step) -> Ref | None:
        if parts.is_folded:
            return None
        (source,) = step.inputs
        return parts.add(_LAYERS.Multiply(), 'product', source, parts.add(gate(), 'gate', source))

    return recipe


def _gelu(parts: Parts, step: Step) -> Ref | None:
    """Makes x·sigmoid(1.702·x), which is at most 0.02 from the exact function."""
    if parts.is_folded:
        return None
    (source,) = step.inputs
    steeper = parts.add(_LAYERS.Rescaling(_GELU_SLOPE), 'steeper', source)
    gate = parts.add(_LAYERS.Activation('sigmoid'), 'gate', steeper)
    return parts.add(_LAYERS.Multiply(), 'product', source, gate)


def _softmax_refusal(layer: keras.layers.Layer, shape: InputShape) -> str | None:
    axis = getattr(layer, 'axis', -1)
    if is_last_axis(axis, shape):
        return None
    axes = [int(each) for each in np.atleast_1d(axis)]
    return f'is a softmax over axes {axes}; expected the last axis alone'


# A function with this spec can only be a part of thresholds.
_FUNCTION = LayerSpec(Kind.ELEMENTWISE)
_RECTIFIER = LayerSpec(Kind.ELEMENTWISE, form=RectifierForm())
_SAME_RANGE = LayerSpec(Kind.SAME_RANGE, form=SameRangeForm())
_CLIPPED = LayerSpec(Kind.ELEMENTWISE, form=BoundedLineForm(1.0, 0.0, _unbounded))
_RELU = LayerSpec(Kind.ELEMENTWISE, fuses_as_relu=True, form=BoundedLineForm(1.0, 0.0, _as_layer))
_LINEAR = LayerSpec(Kind.SAME_SCALE, form=AsInKeras())
_SOFTMAX = LayerSpec(
    Kind.SOFTMAX, fixed_range=_PROBABILITIES, refusal=_softmax_refusal, form=AsInKeras()
)
_SWISH = dataclasses.replace(_FUNCTION, decomposition=_gated(lambda: _LAYERS.Activation('sigmoid')))
_HARD_SWISH = dataclasses.replace(_FUNCTION, decomposition=_gated(HardSigmoid))


def _hard_sigmoid(slope: float) -> LayerSpec:
    form = BoundedLineForm(slope, 0.5, _not_negative)
    return dataclasses.replace(_FUNCTION, fixed_range=_HARD_SIGMOID, form=form)


_ACTIVATIONS = {
    'linear': _LINEAR,
    'softmax': _SOFTMAX,
    'relu': _RELU,
    'relu6': _RELU,
    'leaky_relu': _RECTIFIER,
    'sigmoid': dataclasses.replace(_FUNCTION, fixed_range=_PROBABILITIES, form=AsInKeras()),
    'tanh': dataclasses.replace(_FUNCTION, fixed_range=_TANH, form=AsInKeras()),
    'hard_sigmoid': _hard_sigmoid(0.2),
    'keras3_hard_sigmoid': _hard_sigmoid(1 / 6),
    'keras3_hard_silu': _HARD_SWISH,
    'swish': _SWISH,
    'silu': _SWISH,
    'gelu': dataclasses.replace(_FUNCTION, decomposition=_gelu),
    'keras3_gelu_tanh': dataclasses.replace(_FUNCTION, decomposition=_gelu),
    **dict.fromkeys(('elu', 'selu', 'softplus', 'softsign', 'mish', 'exponential'), _FUNCTION),
    **{
        f'keras3_{name}': _FUNCTION
        for name in (
            *('celu', 'squareplus', 'log_sigmoid', 'hard_tanh', 'tanh_shrink', 'soft_shrink'),
            *('hard_shrink', 'sparse_plus', 'sparse_sigmoid'),
        )
    },
}


def _activation(layer: keras.layers.Layer) -> LayerSpec | None:
    return _ACTIVATIONS.get(activation_name(layer.activation))


def _relu(layer: keras.layers.Layer) -> LayerSpec:
    if layer.threshold or (layer.negative_slope and layer.max_value is not None):
        return _FUNCTION
    if layer.negative_slope:
        return _RECTIFIER
    return _RELU if layer.max_value in (None, 6.0) else _CLIPPED


register_layer(_LAYERS.Activation, _activation)
register_layer(_LAYERS.ReLU, _relu)
register_layer(_LAYERS.LeakyReLU, _RECTIFIER)
register_layer(_LAYERS.PReLU, _RECTIFIER)
register_layer(RPReLU, lambda layer: _SAME_RANGE if layer.same_range else _RECTIFIER)
register_layer(_LAYERS.ELU, _FUNCTION)
register_layer(_LAYERS.Softmax, _SOFTMAX)
register_layer(HardSigmoid, _hard_sigmoid(1 / 6))
register_layer(HardSwish, _HARD_SWISH)
