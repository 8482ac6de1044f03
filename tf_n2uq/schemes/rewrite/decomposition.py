"""Taking apart of layers without an operator in an integer file into layers with one operator each.

The tensors between the new layers get ranges of their own, so that Keras rounds where the file
rounds. The `LayerSpec` of a layer says how the layer is taken apart.
"""

from __future__ import annotations

from typing import Any

import tf_keras as keras

from tf_n2uq._compat.keras_layers import rename
from tf_n2uq.graph.fusing import Fusing, find_fusing
from tf_n2uq.graph.graph import Graph, Ref, Step
from tf_n2uq.graph.quantizer_steps import is_range
from tf_n2uq.schemes.rewrite.assignment import Assignment


def decompose(graph: Graph, assignment: Assignment) -> None:
    """Replaces layers by simpler layers, in place, where their `LayerSpec` says so.

    Args:
        graph: the graph, with its thresholds.
        assignment: the steps that may be changed. The new steps are added.
    """
    fusing = find_fusing(graph)
    for step in graph.in_order():
        recipe = step.spec.decomposition
        if step.name not in assignment.annotated or recipe is None:
            continue
        parts = Parts(graph, step, fusing)
        result = recipe(parts, step)
        if result is not None:
            graph.redirect(step.output, result)
            del graph.steps[step.name]
            assignment.annotated.discard(step.name)
            assignment.annotated.update(part.name for part in parts.steps)


class Parts:
    """Adds the layers that take the place of one layer.

    Attributes:
        steps: the calls of the new layers.
        is_folded: whether the layer becomes part of the thresholds behind it.
        is_fused: whether the operator in front of the layer does the layer's work.
        has_range: whether the layer has an 8-bit range behind it already.
    """

    def __init__(self, graph: Graph, step: Step, fusing: Fusing) -> None:
        """Creates a builder of parts.

        Args:
            graph: gets the parts.
            step: the call of the layer to be replaced.
            fusing: which step does whose work in the graph.
        """
        self._graph, self._name = graph, step.name
        self.steps: list[Step] = []
        self.is_folded = step.name in fusing.folded
        self.is_fused = step.name in fusing.operators
        self.has_range = any(map(is_range, graph.consumers(step.output)))

    def add(self, layer: keras.layers.Layer, result: str, *inputs: Ref) -> Ref:
        """Adds a layer.

        Args:
            layer: the layer. It gets the name of the replaced layer, with `result` behind it.
            result: a word for the result of the layer, such as 'mean'.
            *inputs: the tensors that the layer reads. The layer gets several tensors as a list.

        Returns:
            The output of the layer.
        """
        rename(layer, f'{self._name}_{result}')
        step = self._graph.add(layer, *inputs)
        if len(inputs) > 1:
            step.args = (list(inputs),)
        self.steps.append(step)
        return step.output

    def give_weights(self, arrays: list[Any]) -> None:
        """Gives the layer that was added last its weights, in the order of `set_weights`."""
        self.steps[-1].restore.append((self.steps[-1].layer, arrays))
