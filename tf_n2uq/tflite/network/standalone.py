"""Element-wise layers that are an operator of their own in a file.

Most are not: they are part of a quantizer's comparators, or of the operator in front of them.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.graph.graph import Graph, Step
from tf_n2uq.graph.layer_kinds import Kind, function_name, fuses_as_relu, kind_of
from tf_n2uq.layers import BorderScale
from tf_n2uq.schemes.rewrite.range_placement import folds_into_thresholds, fused_into
from tf_n2uq.tflite.network.kernels import IntegerKernel
from tf_n2uq.tflite.network.ranges import Range
from tf_n2uq.tflite.network.rectifiers import is_rectifier

# Slope and offset; the range behind them ends at 1.
_SATURATING_LINES = {'hard_sigmoid': (0.2, 0.5), 'hard_sigmoid_6': (1 / 6, 0.5)}
_OPERATORS = ('sigmoid', 'tanh')
_MOST = 255


def stands_alone(graph: Graph, step: Step) -> bool:
    """Tells whether an element-wise step needs an operator that does nothing else."""
    return (
        kind_of(step.layer) is Kind.ELEMENTWISE
        and not folds_into_thresholds(graph, step)
        and fused_into(graph, step) is None
    )


def without_operator(graph: Graph) -> list[Step]:
    """Returns the element-wise steps that stand alone and that no integer operator computes."""
    return [
        step
        for step in graph
        if stands_alone(graph, step)
        and not is_rectifier(step.layer)
        and not _is_clipped_identity(step.layer)
        and function_name(step.layer) not in (*_SATURATING_LINES, *_OPERATORS)
    ]


def standalone_kernel(layer: keras.layers.Layer) -> IntegerKernel | None:
    """Returns the line of an element-wise layer that is a line between its bounds, else None.

    The bounds are those of the range behind it.
    """
    channels = layer.output_shape[-1]
    if _is_clipped_identity(layer):
        return IntegerKernel.of_line(np.ones(channels), np.zeros(channels))
    line = _SATURATING_LINES.get(function_name(layer))
    if line is None:
        return None
    slope, offset = line
    return IntegerKernel.of_line(np.full(channels, slope), np.full(channels, offset))


def clipped(layer: keras.layers.Layer, outputs: tf.Tensor) -> tf.Tensor:
    """Applies the bounds of an element-wise layer that the operator in front of it takes on."""
    if function_name(layer) in _SATURATING_LINES:
        return tf.nn.relu(outputs)
    return layer.call(outputs) if fuses_as_relu(layer) else outputs


def _is_clipped_identity(layer: keras.layers.Layer) -> bool:
    plain = type(layer) is keras.layers.ReLU and not layer.negative_slope and not layer.threshold
    return plain or fuses_as_relu(layer)


def border_factors(layer: BorderScale) -> tf.Tensor:
    """Returns the factors of a `BorderScale` as an int8 constant, exact where they are simple."""
    factors = layer.factors()
    ratios = np.unique(factors / factors.max())
    whole = [Fraction(float(ratio)).limit_denominator(_MOST).denominator for ratio in ratios]
    steps = math.lcm(*whole)
    steps = steps * (_MOST // steps) if steps <= _MOST else _MOST
    return Range(float(factors.max()) / steps, -128).quantize(tf.constant(factors))
