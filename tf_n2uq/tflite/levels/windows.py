"""Between which int8 values the thresholds of a staircase lie, for many staircases at once.

A chain of operators maps int8 values to others, step by step. All that counts of the values so far
is the *window* of each threshold: the open interval from the greatest value that has not passed the
threshold to the least one that has. The operators that follow must step up to the next level
somewhere in this interval. A *run* is a number of consecutive thresholds that one straight line
passes through, at the heights of the thresholds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

import numpy as np

from tf_n2uq.tflite.levels.rounding import Bound

# A function of values, and of the bound that is meant.
Function = Callable[[np.ndarray, Bound], np.ndarray]

# The distance that a line keeps from the ends of windows.
_MARGIN = 0.002
# The width of the window of a threshold that no value has passed, or every value.
_OPEN_WIDTH = 64.0


@dataclasses.dataclass(frozen=True)
class Windows:
    """The windows of the thresholds of several staircases.

    Attributes:
        low: float64 `[staircases, thresholds]`: the lower ends, ascending along the thresholds.
        high: float64 `[staircases, thresholds]`: the upper ends.
        heights: float64 `[thresholds]`: the level in the middle of the step at each threshold.
        open_below: Whether the first threshold is one that every value has passed.
        open_above: Whether the last threshold is one that no value has passed.
    """

    low: np.ndarray
    high: np.ndarray
    heights: np.ndarray
    open_below: bool
    open_above: bool

    @classmethod
    def of(cls, least: np.ndarray, greatest: np.ndarray, levels: np.ndarray) -> Windows:
        """Finds the windows of staircases whose levels rise with their values.

        The thresholds of all staircases have the same heights. Levels below the lowest one and
        above the highest one do not occur. Operators saturate at level 0 or below, and at any
        level above 0, so that only other levels need a threshold at their end.

        Args:
            least: Integers `[staircases, values]`: the least value that operators may give in the
                place of each value of a tensor.
            greatest: The greatest one, likewise.
            levels: Integers `[values]`: the levels of the values of the tensor; not all alike.
        """
        lowest, highest = int(levels.min()), int(levels.max())
        open_below, open_above = lowest > 0, highest < 0
        heights = np.arange(lowest - open_below, highest + open_above) + 0.5
        passed = levels > heights[:, np.newaxis]
        low = np.where(passed, -np.inf, greatest[:, np.newaxis]).max(axis=-1)
        high = np.where(passed, least[:, np.newaxis], np.inf).min(axis=-1)
        return cls(low, high, heights, open_below, open_above)._closed()

    @property
    def first(self) -> np.ndarray:
        """float64 `[staircases]`: the greatest values that have passed no threshold."""
        return self.low[:, int(self.open_below)]

    @property
    def last(self) -> np.ndarray:
        """float64 `[staircases]`: the least values that have passed all thresholds."""
        return self.high[:, self.heights.size - 1 - int(self.open_above)]

    def at(self, numbers: np.ndarray) -> Windows:
        """Returns the windows of the staircases with certain numbers, or of a mask."""
        return dataclasses.replace(self, low=self.low[numbers], high=self.high[numbers])

    def mapped(self, function: Function) -> Windows:
        """Returns the windows after a rising function, however it is rounded.

        Args:
            function: A function of arrays `[staircases, thresholds]`.
        """
        low, high = function(self.low, Bound.GREATEST), function(self.high, Bound.LEAST)
        return dataclasses.replace(self, low=low, high=high)._closed()

    def _closed(self) -> Windows:
        """Returns the same windows; those without an end have one."""
        low, high = self.low.copy(), self.high.copy()
        if self.open_below:
            low[:, 0] = high[:, 0] - _OPEN_WIDTH
        if self.open_above:
            high[:, -1] = low[:, -1] + _OPEN_WIDTH
        return dataclasses.replace(self, low=low, high=high)

    def distinct(self) -> np.ndarray:
        """Tells of which staircases no threshold has been lost; bool `[staircases]`."""
        return np.all(self.low < self.high, axis=1)


@dataclasses.dataclass(frozen=True)
class Runs:
    """The runs of several staircases.

    Attributes:
        least: float64 `[thresholds, staircases, thresholds]`: `least[d, s, k]` is the least number
            of values per level of a line through the thresholds k to k + d of staircase s.
        most: The greatest number of values per level, likewise. It is less than the least one
            where there is no line.
        ahead: Integers `[staircases, thresholds]`: the number of thresholds of the longest run
            that begins with each threshold.
        behind: Integers `[staircases, thresholds]`: that of the longest run that ends with it.
    """

    least: np.ndarray
    most: np.ndarray
    ahead: np.ndarray
    behind: np.ndarray

    @classmethod
    def of(cls, windows: Windows) -> Runs:
        """Finds all runs."""
        staircases, count = windows.low.shape
        least = np.zeros((count, staircases, count))
        most = np.full((count, staircases, count), np.inf)
        behind = np.ones((staircases, count), int)
        for apart, (low, high) in enumerate(_slopes(windows), 1):
            least[apart, :, :-apart], most[apart, :, :-apart] = low, high
            behind[:, apart:] += low < high
        return cls(least, most, longest_runs(windows), behind)


def longest_runs(windows: Windows) -> np.ndarray:
    """Returns the number of thresholds of the longest run that begins with each threshold.

    Returns:
        Integers `[staircases, thresholds]`.
    """
    ahead = np.ones(windows.low.shape, int)
    for apart, (low, high) in enumerate(_slopes(windows), 1):
        ahead[:, :-apart] += low < high
    return ahead


def starts_of_runs(ahead: np.ndarray) -> np.ndarray:
    """Returns where runs start that follow one another, each as long as possible.

    Args:
        ahead: The lengths of runs, as `longest_runs` returns them.

    Returns:
        bool `[staircases, thresholds]`.
    """
    staircases, count = ahead.shape
    rows, at = np.arange(staircases), np.zeros(staircases, int)
    starts = np.zeros((staircases, count + 1), bool)
    while (at < count).any():
        starts[rows, at] = True
        at = np.minimum(at + ahead[rows, np.minimum(at, count - 1)], count)
    return starts[:, :count]


def unevenness(windows: Windows) -> np.ndarray:
    """Tells how far the thresholds of staircases are from straight lines.

    It adds up how far each threshold is from a line between its neighbours, and between their
    neighbours, on a logarithmic scale and in widths of windows.

    Returns:
        float64 `[staircases]`, >= 0.
    """
    low, high, heights = windows.low, windows.high, windows.heights
    total = np.zeros(low.shape[0])
    for apart in (1, 2):
        before, here, after = slice(-2 * apart), slice(apart, -apart), slice(2 * apart, None)
        if heights.size <= 2 * apart:
            break
        share = (heights[after] - heights[here]) / (heights[after] - heights[before])
        least = low[:, here] - share * high[:, before] - (1 - share) * high[:, after]
        most = high[:, here] - share * low[:, before] - (1 - share) * low[:, after]
        off = np.maximum(np.maximum(least, -most), 0.0)
        total += np.log2(1 + 2 * off / (most - least)).sum(axis=1) / apart
    return total


def _slopes(windows: Windows) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields the least and the greatest number of values per level of lines.

    The lines rise. They pass through 2 consecutive thresholds, then 3, and so on. Where the least
    number is greater than the greatest one, there is no line.

    Yields:
        float64 `[staircases, thresholds - 1]`, then `[staircases, thresholds - 2]`, and so on.
    """
    low, high, heights = windows.low + _MARGIN, windows.high - _MARGIN, windows.heights
    least, most = np.zeros(low.shape), np.full(low.shape, np.inf)
    for apart in range(1, heights.size):
        rise = heights[apart:] - heights[:-apart]
        # A line through all windows exists if there is a slope that suits every pair.
        least = np.maximum(least[:, :-1], least[:, 1:])
        least = np.maximum(least, (low[:, apart:] - high[:, :-apart]) / rise)
        most = np.minimum(most[:, :-1], most[:, 1:])
        most = np.minimum(most, (high[:, apart:] - low[:, :-apart]) / rise)
        yield least, most
