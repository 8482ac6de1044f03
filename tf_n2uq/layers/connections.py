"""Layers that compute with the numbers of other layers, and find these layers once.

An integer network rounds a bias in units of another layer's scale, so Keras inference has to know
that layer. The rewrite writes the names of such layers into the configs. A layer finds the named
layers when it is connected to symbolic tensors, which is how each Sequential or Functional model
is made, loaded and cloned. From then on it keeps to the layers that it has found. Whatever other
models are made of the same layers later does not change what it computes.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras
from absl import logging

from tf_n2uq._compat.keras_layers import DeclaredOutput
from tf_n2uq._compat.keras_models import call_arguments, calls_in_front, layers_in_front
from tf_n2uq.layers.named_variables import NamedVariables


class Int8Source(abc.ABC):
    """A layer whose output is an int8 tensor in an integer file.

    Attributes:
        levels_of_operator: whether the operator in front of the layer writes the int8 tensor, one
            step per level.
    """

    name: str
    levels_of_operator: bool = False

    @abc.abstractmethod
    def int8_scale(self) -> tf.Tensor | None:
        """Returns the scale of the int8 tensor, float64 `[]`; None if the scale is not known."""


class TakesOnLine(abc.ABC):
    """A layer whose operator also does the work of a line per channel behind the layer."""

    @abc.abstractmethod
    def find_operator(
        self, layers: Sequence[keras.layers.Layer], quantizer: Any, kwargs: Mapping[str, Any]
    ) -> None:
        """Finds the layers behind this layer that its operator computes too.

        Args:
            layers: the layers between this layer and the quantizer that its operator writes in,
                in the order of execution.
            quantizer: the `Quantize` layer.
            kwargs: the keyword arguments of the call of this layer.
        """


class Found:
    """A reference to a layer. Keras does not take the layer for a part of the layer that holds it.

    Keras follows the attributes of a layer to find inner layers and their variables. It does not
    look into this object.
    """

    def __init__(self, layer: Any) -> None:
        self.layer = layer


class ReadsInt8(NamedVariables, DeclaredOutput):
    """Mixin for a layer that computes with the scale of the int8 tensor that it reads.

    Attributes:
        input_quantizer: the name of the `Quantize` layer that makes this tensor. With None, the
            layer takes the nearest quantizer in front of it when the layer is connected, and
            keeps the name of this quantizer.
    """

    name: str
    input_quantizer: str | None = None
    _source: Found | None = None
    _has_warned = False

    def connected(self, inputs: Any, kwargs: Mapping[str, Any]) -> None:
        """Finds the quantizer whose tensor the layer reads."""
        del kwargs
        (tensor, *others) = tf.nest.flatten(inputs)
        source = None if others else self._source_in_front(tensor)
        if source is not None:
            self.input_quantizer = source.name
            self._source = Found(source)

    def input_scale(self) -> tf.Tensor | None:
        """Returns the scale of the int8 tensor that the layer reads.

        Returns:
            float64 `[]`; None if no single quantizer makes that tensor.
        """
        if self._source is not None:
            return self._source.layer.int8_scale()
        if self.input_quantizer is not None and not self._has_warned:
            self._has_warned = True
            logging.warning(
                'Layer %r: expected the quantizer %r in front of the layer, found none. The layer '
                'does not round as an integer file does. Build the model from the one that '
                'quantize_apply returned, or load it as a whole.',
                self.name,
                self.input_quantizer,
            )
        return None

    def reads_written_levels(self) -> bool:
        """Tells whether the layer reads levels that the operator in front of them writes."""
        return self._source is not None and self._source.layer.levels_of_operator

    def _source_in_front(self, tensor: Any) -> Int8Source | None:
        for layer in layers_in_front(tensor):
            if isinstance(layer, Int8Source) and self.input_quantizer in (None, layer.name):
                return layer
            if self.input_quantizer is None and (isinstance(layer, Int8Source) or layer.weights):
                return None
        return None


def close_operator(tensor: Any, quantizer: Any) -> None:
    """Tells the layer that begins an operator which layers the operator ends with.

    Args:
        tensor: the KerasTensor that a quantizer is connected to.
        quantizer: the `Quantize` layer.
    """
    passed: list[keras.layers.Layer] = []
    for call in calls_in_front(tensor):
        layer = call.layer
        if isinstance(layer, TakesOnLine):
            layer.find_operator(passed[::-1], quantizer, call_arguments(call)[1])
        if isinstance(layer, (TakesOnLine, Int8Source)):
            return
        passed.append(layer)
