"""A graph as a function of tensors, without a Keras model."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq._compat.keras_layers import expects_training
from tf_n2uq.graph.graph import Graph, Ref
from tf_n2uq.graph.model_ends import keys_of


class GraphFunction:
    """Calls the layers of a graph one after the other.

    A Keras model would take longer to make than to run once, and would leave a record of its calls
    in each layer. A graph function does neither.

    Attributes:
        inputs: shapes and dtypes of the inputs, `tf.TensorSpec`s in the order of the graph.
        input_names: names of the inputs in this order: the keys of a dictionary, and else the names
            of their layers.
    """

    def __init__(self, graph: Graph, outputs: list[Ref], bypassed: Collection[str] = ()) -> None:
        """Creates the function.

        Args:
            graph: a graph whose layers are built.
            outputs: the tensors to return.
            bypassed: names of steps that return the one tensor that they read.
        """
        self._graph, self._outputs, self._bypassed = graph, outputs, frozenset(bypassed)
        self.inputs = [graph.specs[ref] for ref in graph.inputs]
        steps = [ref.step for ref in graph.inputs]
        self.input_names = keys_of(graph.nested_inputs) or steps
        needed = {ref.step for ref in outputs}
        for step in reversed(graph.in_order()):
            if step.name in needed:
                needed.update(ref.step for ref in step.inputs)
        self._steps = [step for step in graph.in_order() if step.name in needed]

    def __call__(self, inputs: Any, training: bool = False) -> list[tf.Tensor]:
        """Runs the graph.

        Args:
            inputs: a nest of tensors, like the inputs of the model.
            training: whether the layers run as in training; only layers with this argument get it.

        Returns:
            The tensors in the order of `outputs`.
        """
        tensors: dict[Ref, Any] = dict(
            zip(self._graph.inputs, tf.nest.flatten(inputs), strict=True)
        )
        for step in self._steps:
            if isinstance(step.layer, keras.layers.InputLayer):
                continue
            if step.name in self._bypassed:
                tensors[step.output] = tensors[step.inputs[0]]
                continue
            args, kwargs = tf.nest.map_structure(
                lambda leaf: tensors[leaf] if isinstance(leaf, Ref) else leaf,
                (step.args, step.kwargs),
            )
            if expects_training(step.layer):
                kwargs['training'] = training
            results = tf.nest.flatten(step.layer(*args, **kwargs))
            tensors.update({Ref(step.name, index): each for index, each in enumerate(results)})
        return [tensors[ref] for ref in self._outputs]
