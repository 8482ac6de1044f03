"""The scale and zero point of every int8 tensor of a file."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import tensorflow as tf

from tf_n2uq.graph.decisions import Decisions
from tf_n2uq.graph.graph import Graph, Ref, Step
from tf_n2uq.layers.layer_spec import Kind

_INT8 = np.arange(-128, 128)
# A number that lies above the highest level of any quantizer.
_LARGE = 1e30
# XNNPACK adds up terms if their scale is at most 1024 times smaller than the scale of the sum, and
# less than 256 times greater. For a product, the second bound holds for the product of both scales.
_LARGEST_SUM_TO_TERM = 1000.0
_LARGEST_TERM_TO_SUM = 250.0


@dataclasses.dataclass(frozen=True)
class Range:
    """The scale and zero point of an int8 tensor.

    Attributes:
        scale: the difference between two neighbouring numbers of the tensor, > 0.
        zero_point: the int8 value of the number 0, in -128..127.
    """

    scale: float
    zero_point: int

    @classmethod
    def of(cls, step: Step) -> Range:
        """Reads the range of a step, whose zero point is rounded as `fake_quant` rounds it."""
        quantizer, weights = step.layer.quantizer, step.layer.quantizer_weights
        low, high = (float(bound) for bound in quantizer.bounds(weights))
        scale = (high - low) / 255.0
        zero_point = int(np.clip(round(-low / scale), 0, 255)) - 128
        return cls(scale, zero_point)

    @classmethod
    def of_levels(cls, step: Step) -> Range:
        """Returns the range of a quantizer whose levels the operator in front writes by itself.

        The highest level is the highest value of int8, so that the tensor saturates there.
        """
        quantizer, weights = step.layer.quantizer, step.layer.quantizer_weights
        highest = int(quantizer.levels(tf.constant([_LARGE], tf.float32), weights)[0])
        return cls(float(quantizer.step(weights)), 127 - highest)

    def quantize(self, inputs: tf.Tensor) -> tf.Tensor:
        """Rounds and clips a float32 tensor to the numbers that the int8 tensor can hold."""
        low = (-128 - self.zero_point) * self.scale
        high = (127 - self.zero_point) * self.scale
        return tf.quantization.fake_quant_with_min_max_args(inputs, min=low, max=high)

    def values(self) -> np.ndarray:
        """Returns the numbers that the tensor can hold, float32 `[256]`, ascending."""
        return np.asarray((_INT8 - self.zero_point) * np.float32(self.scale), np.float32)


def read_ranges(graph: Graph, decisions: Decisions) -> dict[str, Range]:
    """Reads all ranges, and widens those with which XNNPACK would not compute.

    The widening changes no result that matters. The whole range of a widened term is less than one
    step of the sum, so the term adds nothing. The whole range of a widened sum or product is less
    than one step of its terms, so its numbers are 0, like those of x − x, or out of its range.

    Args:
        graph: a graph whose layers are built and hold their weights. The function must not be
            called inside of a `tf.function`, where variables have no values.
        decisions: the decisions about the graph.

    Returns:
        The range of each range step, and of each quantizer whose levels an operator writes, by the
        name of the step.

    Raises:
        ValueError: if a sum or product reads a tensor without a range. The message names it.
    """
    ranges = {name: Range.of(graph.steps[name]) for name in decisions.ranges}
    for name in decisions.level_writers:
        ranges[name] = Range.of_levels(graph.steps[name])
    order = [
        (step, [range_before(decisions, ref) for ref in step.inputs])
        for step in graph.in_order()
        if decisions.kinds[step.name] in (Kind.SUM, Kind.PRODUCT)
    ]
    for _ in order:
        before = dict(ranges)
        for step, terms in order:
            _widen_result(step, terms, decisions.result_ranges[step.name], ranges)
        for step, terms in reversed(order):
            if decisions.kinds[step.name] is Kind.SUM:
                result = ranges[decisions.result_ranges[step.name]]
                for term in terms:
                    _widen(ranges, term, result.scale / _LARGEST_SUM_TO_TERM)
        if ranges == before:
            break
    return ranges


def _widen_result(step: Step, terms: list[str], result: str, ranges: dict[str, Range]) -> None:
    scales = [ranges[term].scale for term in terms]
    unit = max(scales) if step.kind is Kind.SUM else math.prod(scales)
    _widen(ranges, result, unit / _LARGEST_TERM_TO_SUM)


def _widen(ranges: dict[str, Range], name: str, least: float) -> None:
    ranges[name] = Range(max(ranges[name].scale, least), ranges[name].zero_point)


def range_before(decisions: Decisions, ref: Ref) -> str:
    """Returns the name of the range step that gives a tensor its range.

    There may be layers between the range step and the tensor, if they only move numbers.

    Args:
        decisions: the decisions about the graph.
        ref: the tensor.

    Raises:
        ValueError: if the tensor has no range. The message names its layer.
    """
    maker = decisions.makers[ref.step]
    if maker not in decisions.ranges:
        raise ValueError(
            f'model: expected an 8-bit range in front of {ref.step!r}, got none. Quantize the '
            'model with tensor_bits=8, or give a representative_dataset.'
        )
    return maker
