"""The offsets per channel that int8 tensors of an integer network hold beside their numbers."""

from __future__ import annotations

import numpy as np

from tf_n2uq.graph.graph import Graph, Ref
from tf_n2uq.layers.channel_offset import HasOffset, summed_shifts
from tf_n2uq.layers.layer_spec import Kind


def offset_of(graph: Graph, ref: Ref) -> np.ndarray:
    """Returns the offset of a tensor.

    Args:
        graph: a graph whose layers are built and hold their weights.
        ref: the tensor. Between the layer that has the offset and the tensor there may be layers
            that only move numbers.

    Returns:
        float64 `[channels]`, or `[]` for a tensor without an offset.
    """
    step = graph.producer(ref)
    while step.kind is Kind.SAME_SCALE and len(step.inputs) == 1:
        step = graph.producer(step.inputs[0])
    layer = step.layer
    if not isinstance(layer, HasOffset) or not layer.offset:
        return np.zeros([])
    layers = {name: graph.steps[name].layer for name in layer.offset}
    return np.asarray(summed_shifts(layer.offset, layers), np.float64)
