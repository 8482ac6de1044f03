"""The graph of a Keras model: which layer was called with what.

Keras keeps one record per call of a layer, its `Node`. The class is in no public module, and
`get_config()`, the public way to the same facts, serializes every layer, which a user's layer
may not support. Keras 3 makes `keras.src.ops.node.Node` no more public. If Keras publishes the
nodes of a Functional model, that replaces this module.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

# The class that `keras.Model(inputs, outputs)` makes objects of. It has no public name.
from tf_keras.src.engine.functional import Functional

from tf_n2uq._compat.keras_layers import inner_layers


def is_functional(model: keras.Model) -> bool:
    """Returns whether Keras knows a model's graph.

    It does for a Functional model, and for a Sequential one as soon as its input shape is known.
    Nothing public tells these from a subclassed model.
    """
    return model._is_graph_network


def nodes_in_order(model: keras.Model) -> list[Any]:
    """Returns the calls of a model's layers, each after those that it reads.

    Args:
        model: a model for which `is_functional` holds.

    Returns:
        Keras' nodes; `node.layer` is the layer and `node.outputs` the nest of its results.
    """
    by_depth = model._nodes_by_depth
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]


def is_input(node: Any) -> bool:
    """Returns whether a node is an `InputLayer`'s, which reads nothing."""
    return node.is_input


def call_arguments(node: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Returns the positional and the keyword arguments of a call; none for an input's node."""
    return ((), {}) if node.is_input else (node.call_args, dict(node.call_kwargs))


def tensors_read(node: Any) -> list[Any]:
    """Returns the KerasTensors among the arguments of a call, in order."""
    return list(node.keras_inputs)


def nodes_read(node: Any) -> list[Any]:
    """Returns the calls that made the `tensors_read`, in order."""
    return list(node.parent_nodes)


def layers_in_front(tensor: Any) -> Iterator[keras.layers.Layer]:
    """Yields the layers that made a tensor, from the nearest on.

    Args:
        tensor: a KerasTensor; any other tensor has no layers in front.

    Yields:
        The layer that returned the tensor, then the one that this read, and so on. The last one
        is the first that reads the tensors of several calls, or an `InputLayer`.
    """
    for node in calls_in_front(tensor):
        yield node.layer


def calls_in_front(tensor: Any) -> Iterator[Any]:
    """Yields the calls that made a tensor, as Keras' nodes, from the nearest on.

    Args:
        tensor: as for `layers_in_front`.
    """
    history = getattr(tensor, '_keras_history', None)
    if history is None:
        return
    node = history.layer.inbound_nodes[history.node_index]
    while node is not None:
        yield node
        parents = {id(parent): parent for parent in node.parent_nodes}
        node = next(iter(parents.values())) if len(parents) == 1 else None


def ancestors_of(tensors: Any) -> Iterator[keras.layers.Layer]:
    """Yields all layers that tensors depend on, each once, in no particular order.

    Args:
        tensors: a nest of KerasTensors; any other tensor has no layers behind it.
    """
    stack = []
    for tensor in tf.nest.flatten(tensors):
        history = getattr(tensor, '_keras_history', None)
        if history is not None:
            stack.append(history.layer.inbound_nodes[history.node_index])
    seen = set()
    while stack:
        node = stack.pop()
        if id(node) not in seen:
            seen.add(id(node))
            yield node.layer
            stack.extend(node.parent_nodes)


def readers_of(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Returns the layers that read a layer's output, in all models that were made of it.

    What a layer computes must not depend on this, as any new model changes it.
    """
    return [node.layer for node in layer.outbound_nodes]


@contextlib.contextmanager
def without_new_calls(layer: keras.layers.Layer) -> Iterator[None]:
    """Lets the layers inside of a layer forget the calls that are made in a context.

    A call with symbolic tensors leaves a node on a layer, and `layer.output` of the user's layer
    would be another one. Nothing public takes a node off again.

    Args:
        layer: the outer layer.
    """
    inner = inner_layers(layer)
    counts = [(len(each._inbound_nodes), len(each._outbound_nodes)) for each in inner]
    try:
        yield
    finally:
        for each, (inbound, outbound) in zip(inner, counts, strict=True):
            del each._inbound_nodes[inbound:]
            del each._outbound_nodes[outbound:]


def nested_inputs(model: keras.Model) -> Any:
    """Returns a model's inputs in the nest that it was made with; `model.inputs` is flat."""
    return model._nested_inputs


def nested_outputs(model: keras.Model) -> Any:
    """Returns a model's outputs in the nest that it returns; `model.outputs` is flat."""
    return model._nested_outputs


def in_order_of_inputs(model: keras.Model, given: Any) -> list[Any]:
    """Returns what a Functional model is called with, flat, in the order of `model.inputs`.

    A model with named inputs may be called with a dictionary in any order, which Keras sorts out
    inside of the model's `call`.

    Args:
        model: the model that is called.
        given: the first argument of the call.
    """
    return tf.nest.flatten(model._flatten_to_reference_inputs(given))


def all_layers(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """Yields the model itself and all layers in it, those of inner models and wrappers too.

    The public `model.layers` has only the outermost layers. The public `model.submodules` also has
    metrics and the optimizer, and looks into every attribute of every layer.
    """
    yield from model._flatten_layers()


def add_beside_outputs(model: keras.Model, calls: Sequence[tuple[Any, Any]]) -> None:
    """Puts layers into a model that no output depends on, such as those of `model.add_loss`.

    Keras runs, saves and clones them with the model. The public `model.add_loss` and `add_metric`
    make layers of two kinds only.

    Args:
        model: a Functional model.
        calls: for each call, in order, the layer and what the call has returned.
    """
    nodes = []
    for layer, result in calls:
        tensor = tf.nest.flatten(result)[0]
        nodes.append(layer._inbound_nodes[tensor._keras_history.node_index])
    layers = list({id(layer): layer for layer, _ in calls}.values())
    model._insert_layers(layers, relevant_nodes=nodes)


def output_number(tensor: Any) -> int:
    """Returns which of the outputs of its layer a KerasTensor is, from 0."""
    return tensor._keras_history.tensor_index


def let_clone_forget_calls(model: keras.Model) -> None:
    """Makes the next clone of a model that keeps its layers the only model of these layers.

    `quantize_apply` clones the model that a scheme returns, on a new input, and keeps the layers.
    Each layer then has two calls, and Keras takes the first one for the layer's output. This one
    leads back to an input that no model has, so that `keras.Model(model.input, layer.output)` ends
    in an error. Keras has nothing public that removes a call.

    Args:
        model: a Functional or Sequential model. After the clone, it must not be used any more. A
            Sequential one must not be used from now on, except for its layers.
    """
    nodes = nodes_in_order(model)
    if isinstance(model, keras.Sequential):
        # Its clone is made of the layers alone.
        _forget_calls(nodes)
        return

    class Rewritten(Functional):
        """A model whose clone, which Keras makes of the same class, is an ordinary one."""

        def __new__(cls, *args: Any, **kwargs: Any) -> Any:
            del cls
            _forget_calls(nodes)
            return Functional(*args, **kwargs)

    # Past Keras' own `__setattr__`, which tracks what it sets.
    object.__setattr__(model, '__class__', Rewritten)


def _forget_calls(nodes: list[Any]) -> None:
    dead = {id(node) for node in nodes}
    for layer in {id(node.layer): node.layer for node in nodes}.values():
        layer._inbound_nodes[:] = [node for node in layer._inbound_nodes if id(node) not in dead]
        layer._outbound_nodes[:] = [node for node in layer._outbound_nodes if id(node) not in dead]
        for index, node in enumerate(layer._inbound_nodes):
            for tensor in tf.nest.flatten(node.outputs):
                # The tensors know the place of their call among the calls of the layer.
                tensor._keras_history = tensor._keras_history._replace(node_index=index)
