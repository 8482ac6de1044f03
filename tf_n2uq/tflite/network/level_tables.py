"""Tables of thresholds over int8, with the element-wise layers in front of the thresholds."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tf_n2uq.graph.decisions import Decisions
from tf_n2uq.graph.graph import Graph, Ref, Step
from tf_n2uq.graph.offsets import offset_of
from tf_n2uq.quantizers.protocols import ActivationQuantizer
from tf_n2uq.tflite.network.ranges import Range, range_before

# With two int8 steps per level, half of a level is a whole number of steps.
_EVEN_STRETCH = 2


@dataclasses.dataclass(frozen=True)
class LevelTable:
    """A quantizer, and the layers that are folded into it, as a function of an int8 tensor.

    Attributes:
        source: the int8 tensor.
        range: the scale and zero point of the tensor.
        levels: integers `[256, …]`, the level for each of the int8 values -128..127. The other
            axes broadcast against the tensor without its batch.
        step: the difference between two neighbouring levels in Keras, > 0.
        steps: the number of steps from the lowest to the highest level of the quantizer.
        stretch: the number of int8 steps that one level counts for in the deployment of the
            network.
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
        decisions: the decisions about the graph.
        thresholds: the step of the quantizer.
        ranges: the ranges of the file's tensors, from `read_ranges`.

    Returns:
        The table.

    Raises:
        ValueError: if the quantizer is no `ActivationQuantizer`, its output scale is 0, NaN or
            infinity, or the tensor that enters has no 8-bit range.
    """
    chain: list[Step] = []
    (source,) = thresholds.inputs
    while source.step in decisions.folded:
        chain.insert(0, graph.producer(source))
        (source,) = chain[0].inputs
    tensor_range = ranges[range_before(decisions, source)]
    numbers = _int8_values_per_channel(tensor_range, graph.shape(source))
    numbers -= tf.cast(offset_of(graph, source), tf.float32)
    for step in chain:
        # `call` broadcasts the single position of the numbers against a PReLU with a slope per
        # position. `__call__` would refuse the shape.
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
            f'model: expected a finite output scale of {thresholds.name!r} other than 0, got one '
            f'with which a level is worth {step_size}. Calibrate and train the model again.'
        )
    sign = int(np.sign(step_size))
    steps = 2**quantizer.bits - 1
    stretch = thresholds.layer.deployment.level_stretch(quantizer.bits)
    return LevelTable(source, tensor_range, levels * sign, abs(step_size), steps, stretch)


def spread_levels(thresholds: Step, levels: Range) -> LevelTable:
    """Returns the table that spreads levels which an operator has written one int8 step apart.

    Args:
        thresholds: the step of the quantizer.
        levels: the scale and zero point of the levels.
    """
    steps = 2**thresholds.layer.quantizer.bits - 1
    return LevelTable(
        source=thresholds.inputs[0],
        range=levels,
        levels=np.maximum(np.arange(-128, 128) - levels.zero_point, 0),
        step=levels.scale,
        steps=steps,
        stretch=_EVEN_STRETCH,
    )


def level_at(table: LevelTable, rows: np.ndarray) -> np.ndarray:
    """Returns the levels of rows of a table.

    Args:
        table: the table.
        rows: numbers of rows, int64 `[count, channels]`.

    Returns:
        Integers `[count, …, channels]`; the axes in between are those of the table.
    """
    axes = table.levels.ndim - 2
    picked = rows.reshape(len(rows), *[1] * axes, rows.shape[-1])
    return np.take_along_axis(table.levels, picked, axis=0)


def _int8_values_per_channel(tensor_range: Range, input_shape: tuple[int | None, ...]) -> tf.Tensor:
    """Returns the numbers of a range for all channels, float32 `[256, 1, …, channels]`."""
    ones = [1] * (len(input_shape) - 2)
    values = tf.reshape(tf.constant(tensor_range.values()), [256, *ones, 1])
    return tf.tile(values, [1, *ones, input_shape[-1]])
