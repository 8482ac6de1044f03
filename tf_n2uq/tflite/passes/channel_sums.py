"""Sums of channels, with which a kernel of odd integers needs one bit less.

The integers w of a 2-bit kernel are the odd numbers in -3..3, which INT2 cannot hold. But INT2 can
hold (w - 1) / 2, which lies in -2..1, and

    Σ w·x = 2·(Σ (w - 1) / 2 · x + Σ x / 2).

The same holds for the odd numbers in -15..15 of a 4-bit kernel, with INT4. The last sum is the same
for all output channels. It adds up levels, and there are few levels, so the sum of some channels
fits int8. A small FULLY_CONNECTED computes such sums once per pixel, and they join the channels.
All numbers stay integers, so the results stay the same, to the bit.

Each x is a level times the *stretch*, which is even. A sum counts one level as some *step*, and the
kernel multiplies the sum by a *weight*. Steps times weights have to add up to half the stretch. The
types reach further below zero than above: INT2 multiplies by -2, but only by +1. So sums are stored
upside down, counted down from the highest value of int8, and weights are negative. What the highest
value contributes is constant, and the bias takes it back.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from tf_n2uq._compat.tflite_schema import schema
from tf_n2uq.tflite.levels.comparators import HIGHEST, INT8_STEPS, LOWEST
from tf_n2uq.tflite.levels.planning import LevelPlan
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.builder import Builder
from tf_n2uq.tflite.passes.markers import marker_index
from tf_n2uq.tflite.passes.narrow_types import INT2, INT4, NarrowType
from tf_n2uq.tflite.passes.packing import store

# The operators whose output consists of levels if their input does. PAD writes level 0.
_KEEPING_LEVELS = ('MAX_POOL_2D', 'PAD', 'RESHAPE')
_PREFIX = 'channel_sums'


@dataclasses.dataclass(frozen=True)
class Levels:
    """The levels that an int8 tensor holds: each value is `zero_point + stretch · level`.

    Attributes:
        lowest: The lowest level, at most 0.
        highest: The highest level, at least 0.
        stretch: The number of int8 steps that one level counts for.
        zero_point: The int8 value of level 0.
    """

    lowest: int
    highest: int
    stretch: int
    zero_point: int

    @classmethod
    def of(cls, plan: LevelPlan) -> Levels:
        """Returns the levels that a plan makes. Level 0 is one of them, because it is padded."""
        axes = (1,) * len(plan.channel_shape)
        levels = plan.evaluate(np.arange(LOWEST, HIGHEST + 1).reshape(-1, *axes))
        lowest, highest = min(0, int(levels.min())), max(0, int(levels.max()))
        return cls(lowest, highest, plan.stretch, plan.zero_point)


class LevelTensors:
    """Finds the levels of the tensors of a file that still has its markers."""

    def __init__(self, model: Any, graph: Any, plans: Sequence[LevelPlan]) -> None:
        """Makes the finder.

        Args:
            model: A `ModelT`.
            graph: The subgraph with the tensors.
            plans: Plan i belongs to the marker of slope `marker_alpha(i)`.
        """
        self._model, self._plans = model, plans
        self._makers = flatbuffer.producers(graph)
        # A plan with thresholds per position takes a while to evaluate.
        self._levels: dict[int, Levels] = {}

    def levels_of(self, index: int) -> Levels | None:
        """Returns the levels that a tensor holds, perhaps padded, pooled or reshaped.

        Returns None if the tensor does not come from a marker.
        """
        maker = self._makers.get(index)
        while maker is not None and self._name(maker) in _KEEPING_LEVELS:
            maker = self._makers.get(int(maker.inputs[0]))
        number = None if maker is None else marker_index(self._model, maker)
        if number is None or number >= len(self._plans):
            return None
        if number not in self._levels:
            self._levels[number] = Levels.of(self._plans[number])
        return self._levels[number]

    def _name(self, operator: Any) -> str:
        return flatbuffer.operator_name(self._model, operator)


@dataclasses.dataclass(frozen=True)
class _Column:
    """One sum: `base - step · Σ levels` of the channels from `start` up to `stop`.

    A column without channels is only there to fill up, and its weight is 0.
    """

    start: int
    stop: int
    step: int
    base: int
    weight: int


@dataclasses.dataclass(frozen=True)
class LevelSums:
    """Sums of the channels of a tensor, each of which fits int8.

    Multiplied by `weights` and added up, with `offset` on top, they are half of the stretch times
    the sum of the levels of all channels.

    Attributes:
        levels: The levels that are added up.
        channels: The number of channels.
        columns: The sums.
    """

    levels: Levels
    channels: int
    columns: tuple[_Column, ...]

    @classmethod
    def of(
        cls, levels: Levels, channels: int, narrow: NarrowType, multiple: int
    ) -> LevelSums | None:
        """Finds the fewest sums.

        Args:
            levels: The levels of the tensor.
            channels: The number of channels, >= 1.
            narrow: The type of the kernel that multiplies the sums.
            multiple: Channels and sums together become a multiple of this number.

        Returns:
            The sums. None if half of the stretch is no whole number of int8 steps, or if int8 does
            not even hold the sum of one channel.
        """
        half, odd = divmod(levels.stretch, 2)
        span = max(1, levels.highest - levels.lowest)
        parts = None if odd else _parts(half, span, channels, -narrow.lowest)
        if parts is None:
            return None
        columns = []
        for step, weight in parts:
            count = -(-channels // (INT8_STEPS // (step * span)))
            bounds = [channels * place // count for place in range(count + 1)]
            for start, stop in itertools.pairwise(bounds):
                base = HIGHEST - levels.zero_point + step * levels.lowest * (stop - start)
                columns.append(_Column(start, stop, step, base, weight))
        columns += [_Column(0, 0, 1, 0, 0)] * (-(channels + len(columns)) % multiple)
        return cls(levels, channels, tuple(columns))

    @property
    def weights(self) -> np.ndarray:
        """The integers by which a kernel multiplies the sums, int8 `[sums]`."""
        return np.asarray([-column.weight for column in self.columns], np.int8)

    @property
    def offset(self) -> int:
        """The number that is to be added where a kernel multiplies the sums by `weights`."""
        return sum(column.weight * column.base for column in self.columns)

    def join(self, builder: Builder, run: list[Any], source: int) -> int:
        """Puts the sums behind the channels of a tensor.

        Args:
            builder: The builder of the operators.
            run: The run of operators.
            source: The index of the tensor that holds the levels.

        Returns:
            The index of a tensor `[…, channels + sums]`.
        """
        added = builder.multiply(run, source, *self._kernel_and_bias(builder, source))
        return builder.concatenate(run, [source, added])

    def _kernel_and_bias(self, builder: Builder, source: int) -> tuple[int, int]:
        model, graph = builder.model, builder.graph
        ones = np.zeros((len(self.columns), self.channels), np.int8)
        for row, column in zip(ones, self.columns, strict=True):
            row[column.start : column.stop] = -1
        scales = np.asarray([column.step for column in self.columns]) / self.levels.stretch
        # A sum is rounded to int8 once more, so that the bias need not be exact.
        bases = np.rint([column.base for column in self.columns] / scales).astype(np.int32)
        input_scale = float(flatbuffer.scales_of(graph.tensors[source])[0])
        kernel = builder.scaled(ones, schema.TensorType.INT8, scales)
        bias = builder.scaled(bases, schema.TensorType.INT32, scales * input_scale)
        narrow = _narrowest(self.channels)
        if narrow is not None:
            store(model, graph.tensors[kernel], ones, narrow)
        return kernel, bias

    @property
    def bytes(self) -> int:
        """The bytes of the constants that compute the sums, about."""
        narrow, count = _narrowest(self.channels), len(self.columns)
        values = count * self.channels
        # Each sum has a scale, an integer of the bias and its scale.
        return (values if narrow is None else narrow.bytes_of(values)) + 12 * count


def sums_channels(model: Any, graph: Any, operator: Any) -> bool:
    """Tells whether an operator of a file sums channels for a kernel that has been halved.

    Args:
        model: A `ModelT`.
        graph: The subgraph of the operator.
        operator: Any operator of the subgraph. The file need not be trusted.
    """
    name = flatbuffer.operator_name(model, operator)
    if name != 'FULLY_CONNECTED' or len(operator.outputs) != 1 or operator.outputs[0] < 0:
        return False
    # Any kernel might consist of zeros and ones, so that only the name tells.
    output = graph.tensors[operator.outputs[0]]
    return re.fullmatch(rf'{_PREFIX}_\d+', flatbuffer.text(output.name)) is not None


def sums_builder(model: Any, graph: Any) -> Builder:
    """Returns the builder for `LevelSums.join`, whose names `sums_channels` knows."""
    return Builder(model, graph, _PREFIX)


def can_be_halved(values: np.ndarray, narrow: NarrowType) -> bool:
    """Tells whether a type can hold the halves of integers, rounded down.

    Args:
        values: int8 integers, with the output channels first. Those of one output channel must be
            all odd or all even: they are even in channels that hardly use their input.
        narrow: The type.
    """
    odd = (values & 1).reshape(len(values), -1)
    return bool(narrow.holds(values >> 1) and np.all(odd == odd[:, :1]))


def is_odd(values: np.ndarray) -> np.ndarray:
    """Tells of each output channel of a kernel that can be halved whether its integers are odd."""
    return (values & 1).reshape(len(values), -1)[:, 0].astype(bool)


def halved(values: np.ndarray, sums: LevelSums) -> np.ndarray:
    """Halves integers and puts the weights of sums behind them, along the last axis.

    Args:
        values: int8 integers `[outputs, …, channels]` that can be halved.
        sums: The sums.

    Returns:
        int8 `[outputs, …, channels + sums]`.
    """
    *axes, _ = values.shape
    odd = is_odd(values).reshape(-1, *(1,) * (values.ndim - 1))
    weights = np.broadcast_to(odd * sums.weights, (*axes, len(sums.columns)))
    return np.concatenate([values >> 1, weights], axis=-1)


def _narrowest(channels: int) -> NarrowType | None:
    """Returns the narrowest type in which XNNPACK takes the kernel of ones."""
    return next((each for each in (INT2, INT4) if channels % each.per_byte == 0), None)


@functools.lru_cache(maxsize=1024)
def _parts(
    half: int, span: int, channels: int, most_weight: int
) -> tuple[tuple[int, int], ...] | None:
    """Finds steps and weights whose products add up to `half`, with the fewest sums.

    Args:
        half: Half of the stretch, >= 1.
        span: The number of levels between the lowest and the highest one, >= 1.
        channels: The number of channels.
        most_weight: The largest weight.

    Returns:
        Pairs of a step and a weight; None if int8 holds no level at all.
    """
    sizes = [-(-channels // (INT8_STEPS // (step * span))) for step in _steps(half, span)]
    # For each number up to `half`, the fewest sums and their parts.
    best: list[tuple[int, tuple[tuple[int, int], ...]] | None] = [(0, ())]
    for number in range(1, half + 1):
        found = None
        for step, size in zip(_steps(half, span), sizes, strict=True):
            for weight in range(1, most_weight + 1):
                rest = best[number - step * weight] if step * weight <= number else None
                if rest is not None and (found is None or rest[0] + size < found[0]):
                    found = rest[0] + size, (*rest[1], (step, weight))
        best.append(found)
    last = best[half]
    return None if last is None else last[1]


def _steps(half: int, span: int) -> range:
    return range(1, min(half, INT8_STEPS // span) + 1)
