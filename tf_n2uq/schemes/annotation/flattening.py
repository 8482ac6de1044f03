"""Dissolving of models inside a model into their layers."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq._compat.keras_layers import expects_training, rename
from tf_n2uq._compat.keras_models import (
    call_arguments,
    in_order_of_inputs,
    is_input,
    nested_inputs,
    nested_outputs,
    nodes_in_order,
)
from tf_n2uq._compat.tfmot import QuantizeAnnotate
from tf_n2uq.graph.checks import check_model
from tf_n2uq.graph.graph import CallReader, Graph, Ref


def flatten(model: keras.Model) -> keras.Model:
    """Returns the same network without inner models, or the model itself if it has none.

    The names of outer layers stay. A layer of an inner model whose name is taken gets the inner
    model's name in front. A `QuantizeAnnotate` wrapper gets the name of its layer. If an inner
    model was called with `training=`, its layers are called with the same value.

    Args:
        model: a built Sequential or Functional model.

    Raises:
        ValueError: if an inner model is subclassed, or is called with a tensor of another rank
            than its own input has.
    """
    if not any(isinstance(layer, (keras.Model, QuantizeAnnotate)) for layer in model.layers):
        return model
    return _Flattener(model).graph.to_model()


class _Flattener:
    def __init__(self, model: keras.Model) -> None:
        self.graph = Graph(model.name, isinstance(model, keras.Sequential))
        self._reader = CallReader(self.graph, flat_names(model))
        refs: dict[int, Ref] = {}
        self.graph.outputs = self._read(model, refs, training=None)
        self.graph.nested_inputs = tf.nest.map_structure(
            lambda tensor: refs[id(tensor)], nested_inputs(model)
        )

    def _read(self, model: keras.Model, refs: dict[int, Ref], training: Any) -> Any:
        """Adds the calls of a model and returns the nest of its outputs."""
        for node in nodes_in_order(model):
            tensors = tf.nest.flatten(node.outputs)
            if isinstance(node.layer, keras.Model):
                outputs = self._read_inner(node, refs, training)
                refs.update(zip(map(id, tensors), outputs, strict=True))
            elif not (is_input(node) and id(tensors[0]) in refs):
                self._read_call(node, refs, training)
        return tf.nest.map_structure(lambda tensor: refs[id(tensor)], nested_outputs(model))

    def _read_inner(self, node: Any, refs: dict[int, Ref], training: Any) -> list[Ref]:
        inner = node.layer
        args, kwargs = call_arguments(node)
        given = in_order_of_inputs(inner, args[0])
        inner_refs = {
            id(expected): self._conform(refs[id(tensor)], tensor, expected, inner.name)
            for tensor, expected in zip(given, inner.inputs, strict=True)
        }
        told = kwargs.get('training')
        outputs = self._read(inner, inner_refs, training if told is None else told)
        return tf.nest.flatten(outputs)

    def _conform(self, ref: Ref, given: Any, expected: Any, name: str) -> Ref:
        """Casts an input of an inner model to the dtype that the model expects, as Keras does."""
        if given.shape.rank != expected.shape.rank:
            raise ValueError(
                f'model: expected the inner model {name!r} to be called with a tensor of shape '
                f'{tuple(expected.shape)}, which its input has, got {tuple(given.shape)}. Put a '
                'tf_keras.layers.Reshape in front of the inner model.'
            )
        if given.dtype == expected.dtype:
            return ref
        cast = keras.layers.Rescaling(1.0, dtype=expected.dtype.name, name=f'{name}_cast')
        return self.graph.add(cast, ref).output

    def _read_call(self, node: Any, refs: dict[int, Ref], training: Any) -> None:
        step = self._reader.read(node, refs)
        layer = step.layer
        if isinstance(layer, QuantizeAnnotate):
            rename(layer.layer, layer.name)
            layer = layer.layer
        if training is not None and expects_training(layer):
            step.kwargs = {'training': training, **step.kwargs}


def flat_names(model: keras.Model) -> dict[int, str]:
    """Returns a unique name for each layer, by the id of the layer.

    Layers of outer models choose their names before those of inner models.
    """
    names: dict[int, str] = {}
    taken: set[str] = set()
    level = [model]
    while level:
        inner_models = []
        for parent in level:
            for layer in [node.layer for node in nodes_in_order(parent)]:
                if isinstance(layer, keras.Model):
                    check_model(layer, f'model: inner model {layer.name!r}')
                    inner_models.append(layer)
                elif id(layer) not in names and (parent is model or not _is_input(layer)):
                    names[id(layer)] = _free_name(layer, parent, taken)
                    taken.add(names[id(layer)])
        level = inner_models
    return names


def _free_name(layer: keras.layers.Layer, parent: keras.Model, taken: set[str]) -> str:
    own = layer.layer.name if isinstance(layer, QuantizeAnnotate) else layer.name
    candidate = own if own not in taken else f'{parent.name}_{own}'
    count = 0
    while candidate in taken:
        count += 1
        candidate = f'{parent.name}_{own}_{count}'
    return candidate


def _is_input(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, keras.layers.InputLayer)
