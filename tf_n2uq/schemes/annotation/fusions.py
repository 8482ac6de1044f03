"""Replacing of several layers by one layer that computes the same."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import tf_keras as keras

from tf_n2uq.graph.graph import Graph, Ref, Step
from tf_n2uq.layers import HardSigmoid, HardSwish
from tf_n2uq.layers.layer_spec import activation_name

_LAYERS = keras.layers


def fuse(graph: Graph, fixed: Collection[str]) -> None:
    """Replaces groups of layers by one layer each, in place.

    - relu6(x + 3) / 6 becomes `HardSigmoid`.
    - x·relu6(x + 3) / 6, with the division before or after the product, becomes `HardSwish`.
    - A `Rescaling` of a `Rescaling` becomes one.

    The new layer has the name of the last layer of its group. A group stays as it is if other
    layers read a tensor inside the group.

    Args:
        graph: the graph.
        fixed: the names of layers that stay as they are, as in `Step.origin`.
    """
    fusion = _Fusion(graph, fixed)
    for attempt in (fusion.hard_sigmoid, fusion.hard_swish, fusion.rescaling):
        for step in graph.in_order():
            attempt(step)


class _Fusion:
    def __init__(self, graph: Graph, fixed: Collection[str]) -> None:
        self._graph, self._fixed = graph, fixed

    def hard_sigmoid(self, step: Step) -> None:
        source = self._before_relu6(self._behind_sixth(step))
        if source is not None:
            self._replace(step, HardSigmoid, source)

    def hard_swish(self, step: Step) -> None:
        product = step if self._is_free(step, _LAYERS.Multiply) else self._behind_sixth(step)
        if product is None or type(product.layer) is not _LAYERS.Multiply:
            return
        if len(product.inputs) != 2:
            return
        for source, gate in (product.inputs, product.inputs[::-1]):
            if source == self._before_gate(gate, divided=product is step):
                self._replace(step, HardSwish, source)
                return

    def rescaling(self, step: Step) -> None:
        """Replaces a `Rescaling` behind a `Rescaling` by one layer."""
        if not self._is_free(step, _LAYERS.Rescaling):
            return
        before = self._only_producer(step.inputs[0], _LAYERS.Rescaling)
        if before is None:
            return
        scale = np.asarray(step.layer.scale, np.float64)
        line = (scale * before.layer.scale, scale * before.layer.offset + step.layer.offset)
        numbers = [np.asarray(value).tolist() for value in line]
        self._replace(step, _LAYERS.Rescaling, before.inputs[0], *numbers)

    def _replace(self, step: Step, kind: type, source: Ref, *args: Any) -> None:
        dtype = step.layer.dtype_policy.name
        step.replace(kind(*args, name=step.layer.name, dtype=dtype), source)
        self._graph.drop_unused()

    def _before_gate(self, gate: Ref, divided: bool) -> Ref | None:
        """Returns the tensor x if a tensor is relu6(x + 3), or relu6(x + 3) / 6 if divided."""
        if not divided:
            return self._before_relu6(self._only_producer(gate, _LAYERS.ReLU, _LAYERS.Activation))
        sigmoid = self._only_producer(gate, HardSigmoid)
        return None if sigmoid is None else sigmoid.inputs[0]

    def _before_relu6(self, step: Step | None) -> Ref | None:
        """Returns the tensor x if a step computes relu6(x + 3)."""
        if step is None or not _is_relu6(step.layer):
            return None
        shift = self._only_producer(step.inputs[0], _LAYERS.Rescaling)
        return shift.inputs[0] if shift is not None and _is_line(shift, 1, 3) else None

    def _behind_sixth(self, step: Step) -> Step | None:
        """Returns the step in front of a step that divides by six."""
        if not self._is_free(step, _LAYERS.Rescaling) or not _is_line(step, 1 / 6, 0):
            return None
        return self._only_producer(step.inputs[0])

    def _only_producer(self, ref: Ref, *kinds: type) -> Step | None:
        """Returns the step that makes a tensor, if it is of these kinds and has one reader."""
        step = self._graph.producer(ref)
        if not self._is_free(step, *kinds) or self._graph.is_output(ref):
            return None
        return step if len(self._graph.consumers(ref)) == 1 else None

    def _is_free(self, step: Step, *kinds: type) -> bool:
        return step.origin not in self._fixed and (not kinds or type(step.layer) in kinds)


def _is_relu6(layer: keras.layers.Layer) -> bool:
    if type(layer) is _LAYERS.ReLU:
        return layer.max_value == 6 and not layer.negative_slope and not layer.threshold
    return type(layer) is _LAYERS.Activation and activation_name(layer.activation) == 'relu6'


def _is_line(step: Step, scale: float, offset: float) -> bool:
    layer = step.layer
    # 1 / 6 may have been rounded to float32.
    is_scaled = np.allclose(layer.scale, scale, rtol=1e-6, atol=0.0)
    return is_scaled and bool(np.all(np.asarray(layer.offset) == offset))
