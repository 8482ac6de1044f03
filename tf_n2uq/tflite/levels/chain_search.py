"""Finds lines and bends that make a staircase one straight run, by trying many.

A staircase whose thresholds are windows of one straight line needs a single line. Any other one
needs bends. A bend brings the lines of two runs that meet at it to one slope, so that they become
one run. But int8 values cannot hold every bend: thresholds are lost if two values that belong to
different levels become one, and windows move when values are rounded. So the search tries many
lines and bends at once, at random, and goes on with those that leave the fewest and the longest
runs. The windows show for each of them what is left to do. The random numbers are always the same,
so that the same table gives the same chain.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tf_n2uq.tflite.levels.bends import Bends, draw
from tf_n2uq.tflite.levels.table_chain import Line, Part
from tf_n2uq.tflite.levels.windows import (
    Runs,
    Windows,
    longest_runs,
    starts_of_runs,
    unevenness,
)

# The number of thresholds for which the numbers of candidates are meant. Candidates with more
# thresholds take longer, so that fewer of them are tried.
_USUAL_THRESHOLDS, _FEW_THRESHOLDS = 15, 10
# The share of candidates whose runs are found, and the number of those that are kept of the
# candidates for one staircase. The others would only be much the same.
_PROMISING, _SIBLINGS = 0.3, 4
# The int8 values per level of a line that has one threshold. Any number would do, but the kernels
# that stretch one level to 255 steps count in 16 bits.
_VALUES_PER_ONLY_LEVEL = 4.0
# The number of runs that a bend takes away, at most, nearly always.
_RUNS_PER_BEND = 1.5
# What the lack of long runs, and the unevenness of thresholds, weigh beside the number of runs.
_LACK_WEIGHT, _UNEVEN_WEIGHT = 5.0, 0.3


@dataclasses.dataclass(frozen=True)
class Effort:
    """How much the search tries.

    Attributes:
        kept: The number of staircases that are kept after each bend.
        tried: The number of bends that are tried each time, at 15 thresholds.
    """

    kept: int
    tried: int


QUICK, THOROUGH = Effort(40, 2400), Effort(120, 16000)


def straightened(
    windows: Windows, most_bends: int, effort: Effort
) -> tuple[int, list[Part]] | None:
    """Finds lines and bends, and a last line that gives the levels.

    Args:
        windows: The windows at the start, of one staircase or of several to choose from.
        most_bends: The largest allowed number of bends.
        effort: How much to try.

    Returns:
        The number of the staircase that has been chosen, and what follows: lines and bends by
        turns, from one line to another. None if nothing has been found.
    """
    generator = np.random.default_rng(0)
    thresholds = windows.heights.size
    tried = effort.tried * _USUAL_THRESHOLDS // max(thresholds, _FEW_THRESHOLDS)
    history: list[Bends] = []
    for left in range(most_bends, -1, -1):
        runs = Runs.of(windows)
        whole = runs.ahead[:, 0] == thresholds
        if whole.any():
            freedom = np.where(whole, runs.most[-1, :, 0] - runs.least[-1, :, 0], -np.inf)
            number = int(np.argmax(freedom))
            return _traced(history, number, _last_line(windows, runs, number))
        if starts_of_runs(runs.ahead).sum(axis=1).min() - 1 > _RUNS_PER_BEND * left:
            return None
        bends, windows = draw(windows, runs, tried, generator)
        if not bends.parent.size:
            return None
        best = _best(windows, bends.parent, effort.kept)
        windows = windows.at(best)
        history.append(bends.at(best))
    return None


def _traced(history: list[Bends], number: int, last: Line) -> tuple[int, list[Part]]:
    """Returns the start of a staircase that has become one run, and all that follows it."""
    parts: list[Part] = [last]
    for bends in reversed(history):
        parts = bends.parts(number) + parts
        number = int(bends.parent[number])
    return number, parts


def _last_line(windows: Windows, runs: Runs, number: int) -> Line:
    """Returns the line through all windows of a staircase, as levels per value."""
    count = windows.heights.size
    values = _VALUES_PER_ONLY_LEVEL
    if count > 1:
        values = (runs.least[-1, number, 0] + runs.most[-1, number, 0]) / 2
    ahead = values * windows.heights
    low, high = (windows.low[number] - ahead).max(), (windows.high[number] - ahead).min()
    return Line(float(1 / values), float(-(low + high) / 2 / values))


def _best(windows: Windows, parent: np.ndarray, kept: int) -> np.ndarray:
    """Returns the numbers of the most promising staircases, the best one first."""
    uneven = unevenness(windows)
    promising = np.argsort(uneven, kind='stable')
    promising = promising[: max(kept, int(_PROMISING * promising.size))]
    ahead = longest_runs(windows.at(promising))
    costs = _UNEVEN_WEIGHT * uneven[promising] + _remaining(ahead)
    costs[ahead[:, 0] == windows.heights.size] = -1.0
    order = promising[np.argsort(costs, kind='stable')]
    return order[_rank_among_siblings(parent[order]) < _SIBLINGS][:kept]


def _remaining(ahead: np.ndarray) -> np.ndarray:
    """Returns what is left to do, from the lengths of the runs that begin with each threshold."""
    count = ahead.shape[1]
    lack = 1 - ahead.sum(axis=1) / (count * (count + 1) / 2)
    starts = starts_of_runs(ahead)
    # The shorter the last one of the runs that follow one another, the nearer they are to one less.
    length_of_last = 1 + np.argmax(starts[:, ::-1], axis=1)
    return _LACK_WEIGHT * lack + starts.sum(axis=1) + length_of_last / (count + 1)


def _rank_among_siblings(parent: np.ndarray) -> np.ndarray:
    """Returns how many staircases with the same parent are in front of each one."""
    order = np.argsort(parent, kind='stable')
    numbers = np.arange(parent.size)
    begins = np.r_[True, np.diff(parent[order]) != 0]
    rank = np.empty(parent.size, int)
    rank[order] = numbers - np.maximum.accumulate(np.where(begins, numbers, 0))
    return rank
