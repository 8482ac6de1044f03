"""Thresholds, with the element-wise layers in front of them, as tables over int8."""

from __future__ import annotations

import dataclasses

import numpy as np
import tensorflow as tf

from tf_n2uq.schemes.graph import Graph, Ref, Step
from tf_n2uq.schemes.layer_kinds import Kind, kind_of
from tf_n2uq.schemes.ranges import folds_into_thresholds, is_range

_INT8 = np.arange(-128, 128)


@dataclasses.dataclass(frozen=True)
class Range:
    """Scale and zero point of an int8 tensor."""

    scale: float
    zero_point: int

    @classmethod
    def of(cls, step: Step) -> Range:
        """Reads a range step, nudged to whole zero points as `fake_quant` does."""
        quantizer, weights = step.layer.quantizer, step.layer.quantizer_weights
        low, high = (float(bound) for bound in quantizer.bounds(weights))
        scale = (high - low) / 255.0
        zero_point = int(np.clip(round(-low / scale), 0, 255)) - 128
        return cls(scale, zero_point)

    def quantize(self, inputs: tf.Tensor) -> tf.Tensor:
        """Rounds and clips a tensor to the numbers that the int8 tensor can hold."""
        low = (-128 - self.zero_point) * self.scale
        high = (127 - self.zero_point) * self.scale
        return tf.quantization.fake_quant_with_min_max_args(inputs, min=low, max=high)

    def values(self) -> np.ndarray:
        """Returns the 256 float32 numbers that the tensor can hold, ascending."""
        return np.asarray((_INT8 - self.zero_point) * np.float32(self.scale), np.float32)


@dataclasses.dataclass(frozen=True)
class LevelTable:
    """A quantizer, and what is folded into it, as a function of an int8 tensor.

    Attributes:
        source: the int8 tensor.
        range: its scale and zero point.
        levels: integers `[256, …]`, the level for each of the int8 values -128..127; the other
            axes broadcast against the tensor without its batch.
        step: what one level is worth in Keras, > 0.
        highest: the highest level of the quantizer.
    """

    source: Ref
    range: Range
    levels: np.ndarray
    step: float
    highest: int


def table_of(graph: Graph, thresholds: Step) -> LevelTable:
    """Evaluates a quantizer, and the layers that fold into it, on all int8 values.

    Args:
        graph: a graph whose layers are built and hold their weights.
        thresholds: the step of the quantizer.

    Returns:
        The table.

    Raises:
        ValueError: if the quantizer's output is worth nothing (an output scale of 0), or what
            enters has no 8-bit range.
    """
    chain: list[Step] = []
    (source,) = thresholds.inputs
    while folds_into_thresholds(graph, graph.producer(source)):
        chain.insert(0, graph.producer(source))
        (source,) = chain[0].inputs
    tensor_range = Range.of(range_behind(graph, source))
    numbers = _int8_values_per_channel(tensor_range, (chain or [thresholds])[0].layer.input_shape)
    for step in chain:
        # `call`: a PReLU with a slope per position takes one position for all of them.
        numbers = step.layer.call(numbers)
    quantizer, weights = thresholds.layer.quantizer, thresholds.layer.quantizer_weights
    levels = np.asarray(quantizer.levels(numbers, weights))
    step_size = float(quantizer.step(weights))
    if not np.isfinite(step_size) or step_size == 0.0:
        raise ValueError(
            f'model: the output scale of {thresholds.name!r} makes a level worth {step_size}; '
            'expected a finite number other than 0. Calibrate and train the model again.'
        )
    sign = int(np.sign(step_size))
    return LevelTable(source, tensor_range, levels * sign, abs(step_size), 2**quantizer.bits - 1)


def _int8_values_per_channel(tensor_range: Range, input_shape: tuple[int | None, ...]) -> tf.Tensor:
    """Returns `[256, 1, …, channels]`."""
    ones = [1] * (len(input_shape) - 2)
    values = tf.reshape(tf.constant(tensor_range.values()), [256, *ones, 1])
    return tf.tile(values, [1, *ones, input_shape[-1]])


def range_behind(graph: Graph, ref: Ref) -> Step:
    """Returns the range of a tensor: the step that makes it, or what that takes it from.

    Raises:
        ValueError: if the tensor has no range.
    """
    producer = graph.producer(ref)
    while kind_of(producer.layer) is Kind.SAME_SCALE and producer.inputs:
        producer = graph.producer(producer.inputs[0])
    if not is_range(producer):
        raise ValueError(f'model: expected an 8-bit range behind {ref.step!r}, found none.')
    return producer
