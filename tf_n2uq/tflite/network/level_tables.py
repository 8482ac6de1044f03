"""Thresholds, with the element-wise layers in front of them, as tables over int8."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tf_n2uq.graph.decisions import Decisions
from tf_n2uq.graph.graph import Graph, Ref, Step
from tf_n2uq.quantizers.protocols import ActivationQuantizer
from tf_n2uq.tflite.network.ranges import Range, range_before


@dataclasses.dataclass(frozen=True)
class LevelTable:
    """A quantizer, and what is folded into it, as a function of an int8 tensor.

    Attributes:
        source: the int8 tensor.
        range: its scale and zero point.
        levels: integers `[256, …]`, the level for each of the int8 values -128..127; the other
            axes broadcast against the tensor without its batch.
        step: what one level is worth in Keras, > 0.
        steps: from the lowest to the highest level of the quantizer.
        stretch: how many steps of int8 one level counts for, as the deployment of the network has
            it.
    """

    source: Ref
    range: Range
    levels: np.ndarray
    step: float
    steps: int
    stretch: int


def table_of(
    graph: Graph, decisions: Decisions, thresholds: Step, ranges: Mapping[str, Range]
) -> LevelTable:
    """Evaluates a quantizer, and the layers that fold into it, on all int8 values.

    Args:
        graph: a graph whose layers are built and hold their weights.
        decisions: who does whose work in it.
        thresholds: the step of the quantizer.
        ranges: of the file's tensors, see `read_ranges`.

    Returns:
        The table.

    Raises:
        ValueError: if the quantizer's output is worth nothing (an output scale of 0), or what
            enters has no 8-bit range.
    """
    chain: list[Step] = []
    (source,) = thresholds.inputs
    while source.step in decisions.folded:
        chain.insert(0, graph.producer(source))
        (source,) = chain[0].inputs
    tensor_range = ranges[range_before(decisions, source)]
    numbers = _int8_values_per_channel(tensor_range, graph.shape(source))
    for step in chain:
        # `call`: a PReLU with a slope per position takes one position for all of them.
        numbers = step.layer.call(numbers)
    quantizer, weights = thresholds.layer.quantizer, thresholds.layer.quantizer_weights
    if not isinstance(quantizer, ActivationQuantizer):
        raise ValueError(
            f'model: expected a quantizer with levels and a step in {thresholds.name!r}, as '
            f'tf_n2uq.quantizers.ActivationQuantizer describes, got {type(quantizer).__name__}. '
            'Use for example tf_n2uq.quantizers.LearnableThresholdQuantizer.'
        )
    levels = np.asarray(quantizer.levels(numbers, weights))
    step_size = float(quantizer.step(weights))
    if not np.isfinite(step_size) or step_size == 0.0:
        raise ValueError(
            f'model: the output scale of {thresholds.name!r} makes a level worth {step_size}; '
            'expected a finite number other than 0. Calibrate and train the model again.'
        )
    sign = int(np.sign(step_size))
    steps = 2**quantizer.bits - 1
    stretch = thresholds.layer.deployment.level_stretch(steps)
    return LevelTable(source, tensor_range, levels * sign, abs(step_size), steps, stretch)


def _int8_values_per_channel(tensor_range: Range, input_shape: tuple[int | None, ...]) -> tf.Tensor:
    """Returns `[256, 1, …, channels]`."""
    ones = [1] * (len(input_shape) - 2)
    values = tf.reshape(tf.constant(tensor_range.values()), [256, *ones, 1])
    return tf.tile(values, [1, *ones, input_shape[-1]])
