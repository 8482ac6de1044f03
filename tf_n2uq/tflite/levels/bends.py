"""Draws bends that bring two neighbouring runs of a staircase to one slope, many at once."""

from __future__ import annotations

import dataclasses
from typing import TypeAlias

import numpy as np

from tf_n2uq.tflite.levels.comparators import HIGHEST, INT8_STEPS, LOWEST
from tf_n2uq.tflite.levels.rounding import MULTIPLIER_ONE, Bound, bent, subtracted
from tf_n2uq.tflite.levels.table_chain import Bend, Line, Part
from tf_n2uq.tflite.levels.windows import Runs, Windows, starts_of_runs

# The largest gain of a line, and the largest quotient of the two factors of a bend.
_MOST_GAIN, _MOST_QUOTIENT = 250.0, 64.0
# The largest factor of a bend, in parts of 1/256.
_MOST_FACTOR = 32767
# The share of candidates that use all int8 values, and the least share of values that others use.
_FULL, _LEAST_USE = 0.6, 0.5
# The share of candidates that bring the longest possible runs to one slope. The others take
# shorter ones, which leaves more freedom to choose a line.
_LONGEST = 0.6
# How much more often bends are drawn where a run ends than elsewhere: right in front of the run
# that follows, and one threshold earlier.
_HERE, _BEFORE, _ELSEWHERE = 1.0, 0.5, 0.15

Generator: TypeAlias = np.random.Generator


@dataclasses.dataclass(frozen=True)
class Bends:
    """Lines with bends behind them. All arrays have the shape [candidates].

    Attributes:
        parent: The number of the staircase that each candidate is for.
        gain: The gain of the line.
        offset: The offset of the line.
        zero: The zero of the bend.
        below: The factor below the zero, in parts of 1/256.
        above: The factor above it.
        result: The offset of the bend.
    """

    parent: np.ndarray
    gain: np.ndarray
    offset: np.ndarray
    zero: np.ndarray
    below: np.ndarray
    above: np.ndarray
    result: np.ndarray

    def at(self, numbers: np.ndarray) -> Bends:
        """Returns the candidates with certain numbers, or of a mask."""
        fields = [getattr(self, field.name) for field in dataclasses.fields(self)]
        return Bends(*(values[numbers] for values in fields))

    def parts(self, number: int) -> list[Part]:
        """Returns the line and the bend of one candidate."""
        line = Line(float(self.gain[number]), float(self.offset[number]))
        factors = int(self.below[number]), int(self.above[number])
        return [line, Bend(int(self.zero[number]), *factors, int(self.result[number]))]

    def line(self, values: np.ndarray, bound: Bound) -> np.ndarray:
        """Returns what the lines give for values `[candidates, …]`."""
        return subtracted(values, self.gain[:, np.newaxis], self.offset[:, np.newaxis], bound)

    def bend(self, values: np.ndarray, bound: Bound) -> np.ndarray:
        """Returns what the bends give for values `[candidates, …]`."""
        distances = values - self.zero[:, np.newaxis]
        results = bent(distances, self.below[:, np.newaxis], self.above[:, np.newaxis], bound)
        return np.clip(results + self.result[:, np.newaxis], LOWEST, HIGHEST)


def draw(windows: Windows, runs: Runs, tried: int, generator: Generator) -> tuple[Bends, Windows]:
    """Draws lines and bends that keep all thresholds of a staircase apart.

    Args:
        windows: The windows of the staircases.
        runs: Their runs. Each staircase has at least two of them.
        tried: The number of candidates, about. Those that lose a threshold are left out.
        generator: The source of random numbers.

    Returns:
        The candidates, and the windows behind each of them.
    """
    staircases = windows.low.shape[0]
    parent = np.repeat(np.arange(staircases), -(-tried // staircases))
    second = _places(starts_of_runs(runs.ahead), parent, generator)
    before = windows.at(parent)
    behind = _lengths(runs.behind[parent, second - 1], generator)
    ahead = _lengths(runs.ahead[parent, second], generator)
    left = _Lines.through(before, runs, parent, second - behind, behind, generator)
    right = _Lines.through(before, runs, parent, second, ahead, generator)
    place = left.crossing(right, windows.heights[second - 1], windows.heights[second])
    gain, offset, zero = spread(before.first, before.last, place, generator)
    bends = Bends(parent, gain, offset, zero, zero, zero, zero)
    after = before.mapped(bends.line)
    kept = after.distinct()
    bends, after = bends.at(kept), after.at(kept)
    quotient = np.clip(left.values / right.values, 1 / _MOST_QUOTIENT, _MOST_QUOTIENT)[kept]
    below, above = _factors(after, bends.zero, quotient, generator)
    return _centred(dataclasses.replace(bends, below=below, above=above), after)


@dataclasses.dataclass(frozen=True)
class _Lines:
    """Lines `start + values · height`; both arrays have the shape [candidates]."""

    start: np.ndarray
    values: np.ndarray

    @classmethod
    def through(
        cls,
        windows: Windows,
        runs: Runs,
        parent: np.ndarray,
        first: np.ndarray,
        length: np.ndarray,
        generator: Generator,
    ) -> _Lines:
        """Draws a line through a run of each candidate.

        Args:
            windows: The windows of each candidate.
            runs: The runs of their staircases.
            parent: The number of the staircase of each candidate.
            first: The number of the first threshold of each run.
            length: The number of thresholds of each run.
            generator: The source of random numbers.
        """
        heights = windows.heights
        least, most = (each[length - 1, parent, first] for each in (runs.least, runs.most))
        usual = (windows.last - windows.first) / np.ptp(heights)
        # Any line passes through a single threshold.
        any_values = usual * generator.lognormal(0.0, 0.5, first.size)
        least = np.where(length == 1, any_values, least)
        most = np.where(length == 1, any_values, most)
        values = np.maximum(least + (most - least) * _inner(first.size, generator), 1 / _MOST_GAIN)
        number, ahead = np.arange(heights.size), values[:, np.newaxis] * heights
        first, length = first[:, np.newaxis], length[:, np.newaxis]
        inside = (first <= number) & (number < first + length)
        low = np.where(inside, windows.low - ahead, -np.inf).max(axis=1)
        high = np.where(inside, windows.high - ahead, np.inf).min(axis=1)
        return cls(low + (high - low) * _inner(values.size, generator), values)

    def crossing(self, other: _Lines, least: np.ndarray, greatest: np.ndarray) -> np.ndarray:
        """Returns at which values pairs of lines meet, or nearly meet, between two heights."""
        with np.errstate(divide='ignore', invalid='ignore'):
            height = (other.start - self.start) / (self.values - other.values)
        height = np.where(np.isfinite(height), height, (least + greatest) / 2)
        height = np.clip(height, least - 0.3, greatest + 0.3)
        return (self.start + self.values * height + other.start + other.values * height) / 2


def _places(starts: np.ndarray, parent: np.ndarray, generator: Generator) -> np.ndarray:
    """Draws in front of which threshold each bend is; mostly, where a run begins."""
    weights = _ELSEWHERE + _HERE * starts
    weights[:, :-1] += _BEFORE * starts[:, 1:]
    weights[:, 0] = 0.0
    shares = weights.cumsum(axis=1) / weights.sum(axis=1, keepdims=True)
    drawn = (generator.random(parent.size)[:, np.newaxis] > shares[parent]).sum(axis=1)
    return np.clip(drawn, 1, starts.shape[1] - 1)


def _lengths(longest: np.ndarray, generator: Generator) -> np.ndarray:
    shorter = generator.integers(1, longest + 1)
    return np.where(generator.random(longest.size) < _LONGEST, longest, shorter)


def spread(
    first: np.ndarray, last: np.ndarray, place: np.ndarray, generator: Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws lines that spread an interval of values over int8.

    Args:
        first: float64 `[candidates]`: the lowest value of each interval.
        last: The highest value, likewise.
        place: A value that is to become a whole number, or nearly so, likewise.
        generator: The source of random numbers.

    Returns:
        The gain and the offset of each line, and what becomes of the place; float64
        `[candidates]`.
    """
    span = last - first
    gain = np.minimum(INT8_STEPS * _uses(span.size, generator) / span, _MOST_GAIN)
    room = np.maximum(INT8_STEPS - gain * span, 0.0)
    offset = LOWEST - gain * first + room * generator.random(span.size)
    zero = np.clip(np.rint(gain * place + offset), LOWEST, HIGHEST)
    # Values round in another way with each fraction of the offset.
    moved = generator.uniform(-0.5, 0.5, span.size) * (generator.random(span.size) < 0.5)
    return gain, zero - gain * place + moved, zero


def _factors(
    windows: Windows, zero: np.ndarray, quotient: np.ndarray, generator: Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Returns factors below and above zero with a quotient, with which windows fit into int8."""
    left = np.maximum(zero - windows.first, 0.0)
    right = np.maximum(windows.last - zero, 0.0)
    room = INT8_STEPS * _uses(zero.size, generator)
    factor = MULTIPLIER_ONE * room / np.maximum(left + right * quotient, 1.0)
    below = np.clip(np.rint(factor), 1, _MOST_FACTOR)
    return below, np.clip(np.rint(below * quotient), 1, _MOST_FACTOR)


def _centred(bends: Bends, windows: Windows) -> tuple[Bends, Windows]:
    """Chooses offsets with which results use the middle of int8; drops what loses thresholds."""
    ends = np.stack([windows.first, windows.last]) - bends.zero
    low, high = bent(ends, bends.below, bends.above, Bound.IDEAL)
    middle = np.rint((LOWEST + HIGHEST - low - high) / 2)
    bends = dataclasses.replace(bends, result=np.clip(middle, LOWEST, HIGHEST))
    after = windows.mapped(bends.bend)
    kept = after.distinct()
    return bends.at(kept), after.at(kept)


def _uses(size: int, generator: Generator) -> np.ndarray:
    """Draws the share of int8 that each candidate uses."""
    less = generator.uniform(_LEAST_USE, 1.0, size)
    return np.where(generator.random(size) < _FULL, 1.0, less)


def _inner(size: int, generator: Generator) -> np.ndarray:
    """Draws shares of an interval that keep away from its ends."""
    return generator.uniform(0.1, 0.9, size)
