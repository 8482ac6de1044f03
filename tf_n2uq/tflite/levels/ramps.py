"""Ramps: runs of thresholds that one operator steps through.

An operator that divides by w, rounds and saturates is a staircase of equally wide steps. Only
int8 values ever meet a threshold, so a threshold may be moved between two of them. For this
reason one ramp can pass through thresholds whose intervals differ a little. A ramp passes through
any two thresholds, and learned thresholds start out equally far apart.

The *window* of a threshold is the open interval from the last int8 value that has not passed the
threshold to the first one that has. A ramp may step anywhere in this interval. A *run* is a number
of consecutive thresholds.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from tf_n2uq.tflite.levels import costs

# The least distance between a step of a ramp and an int8 value. A subtraction rounds its factors to
# about 2^-21 of the larger one. A depthwise convolution counts its bias in whole parts of 1/127 of
# a step, and the reference kernels round its sum to such parts once more, so that both kernels may
# be off by up to 1.5 parts.
SUBTRACTED_MARGIN, DEPTHWISE_MARGIN = 0.002, 0.02
# The largest difference between two integers of one int8 constant.
_LARGEST_CONSTANT_DIFFERENCE = 255
# The start of a ramp is a whole number of 1/4, 1/2 or 1 of a step. The finest parts come first.
_PARTS_OF_A_STEP = (4, 2, 1)
# The number of widths that are tried for a ramp with one width for all channels.
_TRIED_WIDTHS = 9
# XNNPACK divides by no less than 1/256 and by no more than 1024, counted in parts of a step.
_LEAST_WIDTH, _GREATEST_WIDTH = 1.0 / 64.0, 250.0
# The number of runs that are tried for each last threshold. The longest runs are tried.
_TRIED_RUNS = 8
# The time of each operator together with the ADD of its result. A ramp is a subtraction wherever it
# can be: a depthwise convolution is hardly faster, but it stores 5 to 33 bytes per channel in place
# of 1. The second operator of a subtracted ramp is a table.
COMPARATOR_COST = costs.SUBTRACTION + costs.SUM
SUBTRACTED_COST = costs.SUBTRACTION + costs.TABLE + costs.SUM
DEPTHWISE_COST = costs.DEPTHWISE + costs.SUM


@dataclasses.dataclass(frozen=True)
class Ramp:
    """Equally wide steps, `clip(round((sign · q − start) / width), 0, levels)`.

    Attributes:
        levels: The number of steps.
        sign: 1 for a ramp that rises with q, -1 for a ramp that falls.
        start: float64 `[channels]`, or `[1]` where all channels have the same start.
        width: float64 `[channels]`, or `[1]` where all channels have the same width; > 0.
        parts: Each start is a whole multiple of 1/`parts`, and all channels have one width, so
            that the ramp is a subtraction of a constant. None for a ramp that only a depthwise
            convolution computes.
    """

    levels: int
    sign: int
    start: np.ndarray
    width: np.ndarray
    parts: int | None

    def evaluate(self, q: np.ndarray) -> np.ndarray:
        """Returns the int32 levels of integers `[..., channels]`, in the same shape."""
        steps = np.rint((self.sign * q - self.start) / self.width)
        return np.clip(steps, 0, self.levels).astype(np.int32)


@dataclasses.dataclass(frozen=True)
class Cover:
    """Ramps and single thresholds that together make up a staircase.

    Attributes:
        cost: The time of all operators together, in picoseconds per value.
        ramps: The ramps, each for a run of thresholds.
        singles: The numbers of the thresholds that are in no ramp.
    """

    cost: int
    ramps: tuple[Ramp, ...] = ()
    singles: tuple[int, ...] = ()


def cover(windows: 'Windows', sign: int, depthwise: bool) -> Cover:
    """Finds the cheapest ramps and single thresholds that make up a staircase.

    Args:
        windows: The windows of all thresholds, in the order in which rising values pass them.
        sign: The sign of the ramps, 1 or -1.
        depthwise: Whether a ramp may be a depthwise convolution.

    Returns:
        The cheapest cover.
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
    """The window of each threshold in each channel, see the module.

    Attributes:
        low: The lower ends, float64 `[thresholds, channels]`; -inf for a threshold that all values
            have passed.
        high: The upper ends, in the same shape; inf for a threshold that no value has passed.
    """

    def __init__(self, first_on: np.ndarray, lowest: int, highest: int, margin: float) -> None:
        """Reads thresholds.

        Args:
            first_on: Integers `[thresholds, channels]`, ascending in each channel: the least
                value that has passed the threshold. It is `lowest` if all values have, and
                `highest` + 1 if no value has.
            lowest: The least value of the tensor.
            highest: The greatest value of the tensor.
            margin: The least distance between a step of a ramp and a value of the tensor.
        """
        self.low = np.where(first_on <= lowest, -np.inf, first_on - 1 + margin)
        self.high = np.where(first_on > highest, np.inf, first_on - margin)
        self._runs: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def comparable(self, number: int) -> bool:
        """Tells whether a comparator can compute a threshold.

        A comparator cannot be on for all values, so no channel may have passed the threshold
        everywhere.
        """
        return bool(np.isfinite(self.low[number]).all())

    def widths(self, last: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        """Yields the runs that end with a threshold and that one ramp can pass through.

        In every channel, a straight line passes through all windows of such a run. This method has
        to be called for each threshold in turn, from 0 on.

        Args:
            last: The number of the last threshold.

        Yields:
            The number of the run's first threshold, which falls by one each time, and the least
            and the greatest width of a step, each float64 `[channels]`.
        """
        shorter, self._runs = self._runs, {}
        low = np.full(self.low.shape[1], _LEAST_WIDTH)
        high = np.full(self.low.shape[1], np.inf)
        for first in range(last, -1, -1):
            if first < last:
                if first not in shorter:
                    return
                # A line through all windows exists if there is a width that suits every pair.
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
        """Returns the least and the greatest start per channel of a ramp with a given width."""
        ahead = (np.arange(last - first + 1) + 0.5)[:, np.newaxis] * width
        low = (self.low[first : last + 1] - ahead).max(axis=0)
        return low, (self.high[first : last + 1] - ahead).min(axis=0)

    def widths_from(self, first: int, last: int, start: np.ndarray) -> tuple[float, float]:
        """Returns the least and the greatest width that suit given starts in all channels."""
        steps = (np.arange(last - first + 1) + 0.5)[:, np.newaxis]
        low = (self.low[first : last + 1] - start) / steps
        high = (self.high[first : last + 1] - start) / steps
        return max(_LEAST_WIDTH, low.max()), min(_GREATEST_WIDTH, high.min())


def _with_single(before: Cover, number: int) -> Cover:
    return Cover(before.cost + COMPARATOR_COST, before.ramps, (*before.singles, number))


def _ramps_to(
    windows: Windows, last: int, sign: int, depthwise: bool
) -> Iterator[tuple[int, Ramp]]:
    """Yields the ramps that end with a threshold, each behind the number of its first one."""
    runs = list(windows.widths(last))
    for first, low, high in runs[-_TRIED_RUNS:]:
        if first == last and windows.comparable(last):
            continue  # A comparator is cheaper than a ramp of one step.
        ramp = _of_one_width(windows, first, last, sign, low, high, depthwise)
        if ramp is None and depthwise:
            width = _between(low, np.minimum(high, np.maximum(low, _GREATEST_WIDTH)))
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
    """Returns a ramp with one width for all channels, or None if there is no such ramp.

    A ramp whose starts are whole parts of a step is preferred, because it can be subtracted.

    Args:
        windows: The windows of all thresholds.
        first: The number of the run's first threshold.
        last: The number of the run's last threshold.
        sign: The sign of the ramp.
        low: The least width per channel.
        high: The greatest width per channel.
        depthwise: Whether the ramp may be a depthwise convolution. Then starts may be any numbers,
            or fractions outside of int8: a constant may be unable to hold those, depending on the
            tensor's zero point.
    """
    narrowest, widest = float(low.max()), min(float(high.min()), _GREATEST_WIDTH)
    if narrowest > widest:
        return None
    levels, any_start = last - first + 1, None
    for width in np.linspace(narrowest, widest, _TRIED_WIDTHS + 2)[1:-1]:
        least, greatest = windows.starts(first, last, width)
        if (least > greatest).any():
            continue
        middle = _between(least, greatest)
        for parts in _PARTS_OF_A_STEP if depthwise else (1,):
            start = _on_grid(least, greatest, middle, parts)
            fits = np.ptp(start) * parts <= _LARGEST_CONSTANT_DIFFERENCE
            inside = depthwise or ((sign * start >= -128) & (sign * start <= 127)).all()
            thinnest, thickest = windows.widths_from(first, last, start)
            if fits and inside and thinnest <= thickest:
                width = np.full(1, (thinnest + thickest) / 2)
                return Ramp(levels, sign, start, width, parts)
        any_start = Ramp(levels, sign, middle, np.full(1, width), None)
    return any_start if depthwise else None


def _on_grid(low: np.ndarray, high: np.ndarray, middle: np.ndarray, parts: int) -> np.ndarray:
    """Returns whole parts near the middle between two bounds, or next to the only finite one."""
    wholes = np.where(np.isinf(high), np.ceil(low * parts), np.rint(middle * parts))
    return np.where(np.isinf(low), np.floor(high * parts), wholes) / parts


def _between(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Returns the middle between two bounds, or the only finite one."""
    low = np.where(np.isinf(low), high, low)
    return (low + np.where(np.isinf(high), low, high)) / 2
