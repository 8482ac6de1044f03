"""Layers that an integer file has no operator for, as layers that it has one for each.

What is between them gets ranges of its own, so that Keras rounds where the file does.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tf_keras as keras

from tf_n2uq._compat.keras_layers import rename
from tf_n2uq.graph.graph import Graph, Ref, Step
from tf_n2uq.graph.layer_kinds import function_name
from tf_n2uq.layers import (
    BorderScale,
    ChannelAffine,
    ChannelMean,
    HardSigmoid,
    InverseDeviation,
)
from tf_n2uq.schemes.rewrite.assignment import Assignment
from tf_n2uq.schemes.rewrite.range_placement import folds_into_thresholds, fused_into, is_range

_LAYERS = keras.layers
# Φ(x) is close to a sigmoid of 1.702·x: Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016.
_GELU_SLOPE = 1.702
# With factors of 3/2, each second value would lie between two steps, to be rounded by chance.
_OFF_TIES = 1 + 2.0**-16
# With images of 0 to 255 made -1 to 1, each value would: an eighth of a step takes them off.
_OFFSET_OFF_TIES = 1 + 2.0**-10


def decompose(graph: Graph, assignment: Assignment) -> None:
    """Replaces layers by simpler ones, in place.

    - Sums, averages and products of more than two tensors: one after the other.
    - `LayerNormalization`: means, a difference, a square, a table for the deviation, a product.
    - A `Rescaling` with an offset that is an operator of its own: one of a thousandth more offset.
    - Averages of windows that hang over the border: of zeros too, then scaled up again.
    - Swish, hard swish and GELU that are no part of a quantizer's comparators: x times a sigmoid.
      GELU is x·sigmoid(1.702·x) there, at most 0.02 from the exact function.

    Args:
        graph: the graph; thresholds are in it already.
        assignment: which steps may be touched; extended by the new ones.
    """
    for step in graph.in_order():
        if step.name in assignment.annotated:
            build = _recipe(graph, step)
            if build is not None:
                _replace(graph, step, build, assignment)


_Recipe = Callable[['_Parts', Step], Ref]


def _recipe(graph: Graph, step: Step) -> _Recipe | None:
    layer = step.layer
    if isinstance(layer, (_LAYERS.Add, _LAYERS.Multiply)) and len(step.inputs) > 2:
        return _chain
    if type(layer) is _LAYERS.Average:
        return _average
    if type(layer) is _LAYERS.LayerNormalization:
        return _layer_normalization
    if type(layer) is _LAYERS.AveragePooling2D and _hangs_over(step):
        return _average_with_border
    if folds_into_thresholds(graph, step):
        return None
    if type(layer) is _LAYERS.Rescaling and np.any(layer.offset):
        # With a range behind it, it is what this has made of another.
        done = any(map(is_range, graph.consumers(step.output)))
        return None if done or fused_into(graph, step) else _off_ties
    return _GATED.get(function_name(layer))


class _Parts:
    """Adds the layers that take the place of one."""

    def __init__(self, graph: Graph, name: str) -> None:
        self._graph, self._name = graph, name
        self.steps: list[Step] = []

    def __call__(self, layer: keras.layers.Layer, what: str, *inputs: Ref) -> Ref:
        """Adds a layer that reads `inputs`, or a list of several, and returns its output."""
        rename(layer, f'{self._name}_{what}')
        step = self._graph.add(layer, *inputs)
        if len(inputs) > 1:
            step.args = (list(inputs),)
        self.steps.append(step)
        return step.output


def _replace(graph: Graph, step: Step, build: _Recipe, assignment: Assignment) -> None:
    parts = _Parts(graph, step.name)
    result = build(parts, step)
    graph.redirect(step.output, result)
    del graph.steps[step.name]
    assignment.annotated.discard(step.name)
    assignment.annotated.update(part.name for part in parts.steps)


def _chain(add: _Parts, step: Step) -> Ref:
    return _chained(add, type(step.layer), step.inputs)


def _average(add: _Parts, step: Step) -> Ref:
    total = _chained(add, _LAYERS.Add, step.inputs)
    return add(_LAYERS.Rescaling(1 / len(step.inputs)), 'mean', total)


def _chained(add: _Parts, layer: type[keras.layers.Layer], inputs: list[Ref]) -> Ref:
    result, *rest = inputs
    for number, ref in enumerate(rest):
        result = add(layer(), str(number), result, ref)
    return result


def _off_ties(add: _Parts, step: Step) -> Ref:
    offset = (np.asarray(step.layer.offset) * _OFFSET_OFF_TIES).tolist()
    return add(_LAYERS.Rescaling(step.layer.scale, offset), 'line', *step.inputs)


def _layer_normalization(add: _Parts, step: Step) -> Ref:
    layer, (source,) = step.layer, step.inputs
    mean = add(ChannelMean(), 'mean', source)
    centered = add(_LAYERS.Subtract(), 'centered', source, mean)
    square = add(_LAYERS.Multiply(), 'square', centered, centered)
    variance = add(ChannelMean(), 'variance', square)
    inverse = add(InverseDeviation(layer.epsilon), 'inverse_deviation', variance)
    normalized = add(_LAYERS.Multiply(), 'normalized', centered, inverse)
    if not (layer.scale or layer.center):
        return normalized
    affine = ChannelAffine(trainable=layer.trainable)
    result = add(affine, 'affine', normalized)
    for _, arrays in step.restore:
        gamma = arrays[0] if layer.scale else np.ones_like(arrays[0])
        beta = arrays[-1] if layer.center else np.zeros_like(arrays[0])
        add.steps[-1].restore.append((affine, [gamma, beta]))
    return result


def _gated(gate: Callable[[], keras.layers.Layer]) -> _Recipe:
    def recipe(add: _Parts, step: Step) -> Ref:
        (source,) = step.inputs
        return add(_LAYERS.Multiply(), 'product', source, add(gate(), 'gate', source))

    return recipe


def _gelu(add: _Parts, step: Step) -> Ref:
    (source,) = step.inputs
    steeper = add(_LAYERS.Rescaling(_GELU_SLOPE), 'steeper', source)
    gate = add(_LAYERS.Activation('sigmoid'), 'gate', steeper)
    return add(_LAYERS.Multiply(), 'product', source, gate)


_GATED: dict[str, _Recipe] = {
    'swish': _gated(lambda: _LAYERS.Activation('sigmoid')),
    'hard_swish': _gated(HardSigmoid),
    'gelu': _gelu,
}


def _hangs_over(step: Step) -> bool:
    return step.layer.padding == 'same' and any(
        (factors != 1).any() for factors in _borders(step)[1]
    )


def _average_with_border(add: _Parts, step: Step) -> Ref:
    layer, (source,) = step.layer, step.inputs
    padding, (rows, columns) = _borders(step)
    padded = add(_LAYERS.ZeroPadding2D(padding), 'padding', source)
    pool = _LAYERS.AveragePooling2D(layer.pool_size, layer.strides)
    average = add(pool, 'average', padded)
    return add(BorderScale(rows.tolist(), columns.tolist()), 'border', average)


def _borders(step: Step) -> tuple[list[tuple[int, int]], list[np.ndarray]]:
    """What 'same' pads per axis, and, per output, the window's size over its part in the image."""
    layer = step.layer
    padding, factors = [], []
    for size, window, stride in zip(
        step.input_shape[1:3], layer.pool_size, layer.strides, strict=True
    ):
        count = -(-size // stride)
        total = max((count - 1) * stride + window - size, 0)
        before = total // 2
        starts = np.arange(count) * stride - before
        inside = np.minimum(starts + window, size) - np.maximum(starts, 0)
        padding.append((before, total - before))
        factors.append(np.where(inside < window, window / inside * _OFF_TIES, 1.0))
    return padding, factors
