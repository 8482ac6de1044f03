"""The reading of a Keras model, and of the models inside of it, into a graph."""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    tensors_read,
)
from tf_n2uq._compat.tfmot import QuantizeAnnotate
from tf_n2uq.graph.flat_names import flat_names
from tf_n2uq.graph.steps import Ref, Step


class CallReader:
    """Copies the layer calls of a model, and of the models inside of it, into a graph.

    A layer with weights that is called several times stays one layer. A layer without weights is
    copied for each call.
    """

    def __init__(
        self,
        graph: Any,
        model: keras.Model,
        take: Callable[[keras.layers.Layer], keras.layers.Layer],
        networks: Mapping[int, keras.Model] | None = None,
    ) -> None:
        """Creates the reader.

        Args:
            graph: the `Graph` that gets the calls.
            model: the model to read.
            take: returns the layer that the graph gets for a layer of the model: a copy, or the
                layer itself.
            networks: models in the place of custom layers, by the id of the layer.
        """
        self._take = take
        self._networks = networks or {}
        self._graph = graph
        self._model = model
        self._names = flat_names(model, self._networks)
        self._reserved = set(self._names.values())
        self._copies: dict[int, keras.layers.Layer] = {}
        # Whether the tensors of the model that is being read have other shapes in the graph.
        self._resized = False

    def read_model(self) -> None:
        """Adds all calls, the inputs and the outputs of the model to the graph."""
        refs: dict[int, Ref] = {}
        # A nest of one stays a list in `model.outputs`; Keras then returns the bare tensor.
        self._graph.outputs = self._read_calls(self._model, refs, training=None)
        self._graph.nested_inputs = tf.nest.map_structure(
            lambda tensor: refs[id(tensor)], nested_inputs(self._model)
        )

    def _read_calls(self, model: keras.Model, refs: dict[int, Ref], training: Any) -> Any:
        """Adds the calls of a model and returns the nest of its outputs."""
        for node in nodes_in_order(model):
            tensors = tf.nest.flatten(node.outputs)
            if any(id(tensor) not in refs for tensor in tensors_read(node)):
                # Clones of models with added losses list the calls of the model that was cloned.
                continue
            if isinstance(self._network_of(node), keras.Model):
                outputs = self._read_inner(node, refs, training)
                refs.update(zip(map(id, tensors), outputs, strict=True))
            elif not (is_input(node) and id(tensors[0]) in refs):
                step = self._read_call(node, refs)
                if training is not None and expects_training(_inside(step.layer)):
                    step.kwargs = {'training': training, **step.kwargs}
        return tf.nest.map_structure(lambda tensor: refs[id(tensor)], nested_outputs(model))

    def _network_of(self, node: Any) -> keras.layers.Layer:
        """Returns the model in the place of the layer that is called, or the layer itself."""
        return self._networks.get(id(node.layer), node.layer)

    def _read_inner(self, node: Any, refs: dict[int, Ref], training: Any) -> list[Ref]:
        inner = self._network_of(node)
        args, kwargs = call_arguments(node)
        given = in_order_of_inputs(inner, args[0])
        inner_refs = {
            id(expected): self._conform(refs[id(tensor)], tensor, expected, inner.name)
            for tensor, expected in zip(given, inner.inputs, strict=True)
        }
        told = kwargs.get('training')
        resized, self._resized = (
            self._resized,
            self._resized
            or any(
                self._graph.shape(inner_refs[id(tensor)]) != tuple(tensor.shape)
                for tensor in inner.inputs
            ),
        )
        outputs = self._read_calls(inner, inner_refs, training if told is None else told)
        self._resized = resized
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
        return self._graph.add(cast, ref).output

    def _read_call(self, node: Any, refs: dict[int, Ref]) -> Step:
        """Adds one call.

        Args:
            node: Keras' record of the call.
            refs: the `Ref` of each tensor of the model, by the id of the tensor. The outputs of the
                call are added.
        """
        source = node.layer
        name = self._names[id(source)]
        first_call = id(source) not in self._copies
        if not first_call:
            name = self._graph.unique_name(name, self._reserved)
        if first_call or not source.weights:
            layer = self._copies[id(source)] = self._take(source)
            if layer is not source:
                rename(layer, name)
                rename(_inside(layer), name)

        def to_ref(leaf: Any) -> Any:
            return refs.get(id(leaf), leaf)

        args, kwargs = tf.nest.map_structure(to_ref, call_arguments(node))
        step = Step(name, self._copies[id(source)], args, kwargs, self._names[id(source)])
        if not is_input(node):
            shapes: list[Any] = [keras.backend.int_shape(each) for each in tensors_read(node)]
            if self._resized:
                shapes = [self._graph.shape(ref) for ref in step.inputs]
            step.input_shape = shapes[0] if len(shapes) == 1 else shapes
        if source.weights and first_call:
            step.restore.append((layer, source.get_weights()))
        self._graph.steps[name] = step
        for index, tensor in enumerate(tf.nest.flatten(node.outputs)):
            refs[id(tensor)] = Ref(name, index)
            if not self._resized:
                self._graph.specs[Ref(name, index)] = tensor.type_spec
        return step


def _inside(layer: keras.layers.Layer) -> keras.layers.Layer:
    """Returns the layer in an annotation."""
    return layer.layer if isinstance(layer, QuantizeAnnotate) else layer
