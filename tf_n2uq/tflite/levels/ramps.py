"""Runs of thresholds that one operator steps through.

A saturating operator that divides by w and rounds is a staircase of equally wide steps. Where a
threshold lies is only known to one step of int8, so that intervals that differ may still have a
line through them: any two thresholds do, and learned ones start out equally far apart.

The *window* of a threshold is the open interval between the first value that is on and the one
before: the real numbers at which a ramp may step.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

# How far from an int8 value a ramp steps at least. A subtraction rounds its factors to some 2^-21
# of the larger. A depthwise convolution has a bias in whole parts of 1/127 of a step, and the
# reference kernels round its sum to that once more: both are off by up to 1.5 of them.
SUBTRACTED_MARGIN, DEPTHWISE_MARGIN = 0.002, 0.02
# How far apart the integers of one constant may lie.
_CONSTANT_SPAN = 255
# Fractions of a step in which a start may be given, the finest first.
_PARTS = (4, 2, 1)
# How many widths are tried for a ramp that has one for all channels.
_WIDTHS = 9
# XNNPACK divides by no less than 1/256 and by no more than 1024, in parts of a step.
_LEAST_WIDTH, _MOST_WIDTH = 1.0 / 64.0, 250.0
# So many runs that end with a threshold are tried, the longest ones.
_RUNS = 8
# Picoseconds that a value takes on a core of an x86-64 server: the operators, and the ADD of their
# result. They weigh one way to cover thresholds against another. Where a ramp may be subtracted it
# is, though a depthwise convolution is no slower: that has 5 to 33 bytes per channel, not 1.
COMPARATOR_COST, SUBTRACTED_COST, DEPTHWISE_COST = 165 + 146, 165 + 105 + 146, 250 + 146


@dataclasses.dataclass(frozen=True)
class Ramp:
    """Equally wide steps, `clip(round((sign · q − start) / width), 0, levels)`.

    Attributes:
        levels: How many steps up.
        sign: 1: rises with q; -1: falls.
        start: float64 `[channels]`, or `[1]` where it is the same for all.
        width: float64 `[channels]`, or `[1]` where it is the same for all; > 0.
        parts: `start` is in whole multiples of 1/`parts`, and there is one width: subtracting a
            constant is enough. None: only a depthwise convolution can do it.
    """

    levels: int
    sign: int
    start: np.ndarray
    width: np.ndarray
    parts: int | None

    def evaluate(self, q: np.ndarray) -> np.ndarray:
        """Returns the levels, int32, of integers `[..., channels]`."""
        steps = np.rint((self.sign * q - self.start) / self.width)
        return np.clip(steps, 0, self.levels).astype(np.int32)


@dataclasses.dataclass(frozen=True)
class Cover:
    """What makes up a staircase.

    Attributes:
        cost: What it takes to compute.
        ramps: For runs of thresholds.
        singles: Numbers of the thresholds that are in no ramp.
    """

    cost: int
    ramps: tuple[Ramp, ...] = ()
    singles: tuple[int, ...] = ()


def cover(windows: 'Windows', sign: int, depthwise: bool) -> Cover:
    """Finds the cheapest ramps and single thresholds that make up a staircase.

    Args:
        windows: Of the thresholds, in the order in which they are passed.
        sign: Of the ramps.
        depthwise: Whether a ramp may be a depthwise convolution.
    """
    best = [Cover(0)]
    for last in range(len(windows.low)):
        before = best[last]
        options = [_with_single(before, last)] if windows.comparable(last) else []
        for first, ramp in _ramps_to(windows, last, sign, depthwise):
            before = best[first]
            cost = before.cost + (DEPTHWISE_COST if ramp.parts is None else SUBTRACTED_COST)
            options.append(Cover(cost, (*before.ramps, ramp), before.singles))
        best.append(min(options, key=lambda option: option.cost))
    return best[-1]


class Windows:
    """Between which numbers each threshold of each channel may be put.

    Attributes:
        low: float64 `[thresholds, channels]`; -inf where the threshold is always on.
        high: The same; inf where it is never on.
    """

    def __init__(self, first_on: np.ndarray, lowest: int, highest: int, margin: float) -> None:
        """Reads thresholds.

        Args:
            first_on: Integers `[thresholds, channels]`, ascending in each channel: the least
                value that is on; `lowest` if all are, `highest` + 1 if none is.
            lowest: The least value that there is.
            highest: The greatest.
            margin: How far from the values that there are a ramp has to stay.
        """
        self.low = np.where(first_on <= lowest, -np.inf, first_on - 1 + margin)
        self.high = np.where(first_on > highest, np.inf, first_on - margin)
        self._runs: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def comparable(self, number: int) -> bool:
        """Whether a comparator can be a threshold: it cannot be one that is always on."""
        return bool(np.isfinite(self.low[number]).all())

    def widths(self, last: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Runs that end with a threshold and have a line through their windows in all channels.

        Args:
            last: The threshold's number. To be called for one after the other, from 0.

        Yields:
            The run's first threshold, one less each time, and the least and greatest width of a
            step per channel.
        """
        shorter, self._runs = self._runs, {}
        low = np.full(self.low.shape[1], _LEAST_WIDTH)
        high = np.full(self.low.shape[1], np.inf)
        for first in range(last, -1, -1):
            if first < last:
                if first not in shorter:
                    return
                # A line exists if any two of the windows have one of a width that all agree on.
                apart = last - first
                pair_low = (self.low[last] - self.high[first]) / apart
                pair_high = (self.high[last] - self.low[first]) / apart
                low = np.maximum(np.maximum(low, shorter[first][0]), pair_low)
                high = np.minimum(np.minimum(high, shorter[first][1]), pair_high)
                if (low > high).any():
                    return
            self._runs[first] = low, high
            yield first, low, high

    def starts(
        self, first: int, last: int, width: np.ndarray | float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Least and greatest start per channel of a ramp through a run, for a width."""
        ahead = (np.arange(last - first + 1) + 0.5)[:, np.newaxis] * width
        low = (self.low[first : last + 1] - ahead).max(axis=0)
        return low, (self.high[first : last + 1] - ahead).min(axis=0)

    def widths_from(self, first: int, last: int, start: np.ndarray) -> tuple[float, float]:
        """Least and greatest width, of all channels, of a ramp through a run from its starts."""
        steps = (np.arange(last - first + 1) + 0.5)[:, np.newaxis]
        low = (self.low[first : last + 1] - start) / steps
        high = (self.high[first : last + 1] - start) / steps
        return max(_LEAST_WIDTH, low.max()), min(_MOST_WIDTH, high.min())


def _with_single(before: Cover, number: int) -> Cover:
    return Cover(before.cost + COMPARATOR_COST, before.ramps, (*before.singles, number))


def _ramps_to(
    windows: Windows, last: int, sign: int, depthwise: bool
) -> Iterator[tuple[int, Ramp]]:
    """Ramps that end with a threshold, and the thresholds that they begin with."""
    runs = list(windows.widths(last))
    for first, low, high in runs[-_RUNS:]:
        if first == last and windows.comparable(last):
            continue  # a comparator is cheaper
        ramp = _of_one_width(windows, first, last, sign, low, high, depthwise)
        if ramp is None and depthwise:
            width = _between(low, np.minimum(high, np.maximum(low, _MOST_WIDTH)))
            start = _between(*windows.starts(first, last, width))
            ramp = Ramp(last - first + 1, sign, start, width, None)
        if ramp is not None:
            yield first, ramp


def _of_one_width(
    windows: Windows,
    first: int,
    last: int,
    sign: int,
    low: np.ndarray,
    high: np.ndarray,
    depthwise: bool,
) -> Ramp | None:
    """A ramp of one width for all channels, if there is one; better one of whole parts of a step.

    Args:
        windows: Of all thresholds.
        first: The run's first threshold.
        last: Its last one.
        sign: Of the ramp.
        low: Least width per channel.
        high: Greatest width per channel.
        depthwise: Whether starts may be any numbers, or fractions outside of int8: whether a
            constant can hold those depends on the tensor's zero point.
    """
    narrowest, widest = float(low.max()), min(float(high.min()), _MOST_WIDTH)
    if narrowest > widest:
        return None
    levels, any_start = last - first + 1, None
    for width in np.linspace(narrowest, widest, _WIDTHS + 2)[1:-1]:
        least, greatest = windows.starts(first, last, width)
        if (least > greatest).any():
            continue
        middle = _between(least, greatest)
        for parts in _PARTS if depthwise else (1,):
            start = _on_grid(least, greatest, middle, parts)
            fits = np.ptp(start) * parts <= _CONSTANT_SPAN
            inside = depthwise or ((sign * start >= -128) & (sign * start <= 127)).all()
            thinnest, thickest = windows.widths_from(first, last, start)
            if fits and inside and thinnest <= thickest:
                width = np.full(1, (thinnest + thickest) / 2)
                return Ramp(levels, sign, start, width, parts)
        any_start = Ramp(levels, sign, middle, np.full(1, width), None)
    return any_start if depthwise else None


def _on_grid(low: np.ndarray, high: np.ndarray, middle: np.ndarray, parts: int) -> np.ndarray:
    """Whole parts near the middle between bounds, or next to the only one."""
    wholes = np.where(np.isinf(high), np.ceil(low * parts), np.rint(middle * parts))
    return np.where(np.isinf(low), np.floor(high * parts), wholes) / parts


def _between(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The middle between bounds, or the only one."""
    low = np.where(np.isinf(low), high, low)
    return (low + np.where(np.isinf(high), low, high)) / 2
