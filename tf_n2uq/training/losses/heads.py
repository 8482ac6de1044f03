"""The heads of a model: its outputs, and what the layer that computes each of them tells."""

from __future__ import annotations

import dataclasses
from typing import Any

import tf_keras as keras

from tf_n2uq._compat.keras_layers import TFOpLambda
from tf_n2uq._compat.keras_models import (
    is_functional,
    layers_in_front,
    output_number,
)
from tf_n2uq.graph.model_ends import output_names

_SOFTMAX, _SIGMOID, _LINEAR = 'softmax', 'sigmoid', 'linear'
# The softmax of these is what it is of their input. Values of other activations are no logits.
_GIVE_LOGITS = ('linear', 'log_softmax')
_TF_FUNCTIONS = {'nn.softmax': _SOFTMAX, 'math.sigmoid': _SIGMOID, 'nn.sigmoid': _SIGMOID}


@dataclasses.dataclass(frozen=True)
class Head:
    """One output of a model.

    Attributes:
        name: The name by which users address the output: the key of a dictionary, and else the
            name of its layer.
        activation: 'softmax', 'sigmoid', or 'linear' for outputs that may be logits; the name of
            another activation; None if nothing tells.
        shape: The shape of the output with the batch; None if nothing tells.
    """

    name: str
    activation: str | None
    shape: tuple[int | None, ...] | None

    @property
    def units(self) -> int | None:
        """The size of the last axis; None if it is not known."""
        return self.shape[-1] if self.shape else None


def heads_of(model: keras.Model) -> list[Head]:
    """Returns the heads of a built model, in the order of `model.outputs`.

    A subclassed model has one head of which nothing is known, because Keras does not know the
    layers that its outputs come from.

    Args:
        model: A built model.
    """
    if not is_functional(model):
        return [Head('output_1', None, None)]
    return [
        Head(name, _activation_behind(tensor), tuple(tensor.shape))
        for name, tensor in zip(output_names(model), model.outputs, strict=True)
    ]


def _activation_behind(tensor: Any) -> str | None:
    """Returns the activation of the layer that computes a tensor, past those that pass it on."""
    last = None
    for number, layer in enumerate(layers_in_front(tensor)):
        last = layer
        if isinstance(last, keras.Model):
            # Only the first layer in front is known to give this tensor.
            index = output_number(tensor) if number == 0 else 0
            whole = is_functional(last) and (number == 0 or len(last.outputs) == 1)
            return _activation_behind(last.outputs[index]) if whole else None
        if not _passes_on(last):
            break
    return None if last is None else _activation_of(last)


def _passes_on(layer: keras.layers.Layer) -> bool:
    if isinstance(layer, keras.layers.Activation):
        return layer.activation is keras.activations.linear
    if isinstance(layer, (keras.layers.Dropout, keras.layers.Reshape, keras.layers.Flatten)):
        return True
    # Layers that quantize a tensor, this package's and TFMOT's, hold a quantizer and no layer.
    return hasattr(layer, 'quantizer') and not hasattr(layer, 'layer')


def _activation_of(layer: keras.layers.Layer) -> str | None:
    layer = getattr(layer, 'layer', layer)
    if isinstance(layer, keras.layers.Softmax):
        return _SOFTMAX if layer.axis == -1 else f'softmax over axis {layer.axis}'
    if isinstance(layer, TFOpLambda):
        return _TF_FUNCTIONS.get(layer.symbol, _LINEAR)
    if isinstance(layer, keras.layers.Lambda):
        return None
    activation = getattr(layer, 'activation', None)
    # TFMOT puts an object around a wrapped layer's activation.
    activation = getattr(activation, 'activation', activation)
    if activation is keras.activations.softmax:
        return _SOFTMAX
    if activation is keras.activations.sigmoid:
        return _SIGMOID
    name = getattr(activation, '__name__', _LINEAR)
    return _LINEAR if name in _GIVE_LOGITS else name
