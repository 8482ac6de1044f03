"""Folds a table with one turn, so that what is left to do is a staircase.

The levels of such a table fall and then rise again, as behind a swish, or they rise and then fall.
A bend with a negative factor lays the values on the left of the turn over those on its right. That
is a staircase if each threshold on the left meets the one on the right between the same two levels.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tf_n2uq.tflite.levels.bends import Bends, spread
from tf_n2uq.tflite.levels.comparators import HIGHEST, INT8_STEPS, LOWEST
from tf_n2uq.tflite.levels.rounding import MULTIPLIER_ONE, Bound
from tf_n2uq.tflite.levels.windows import Windows

# The largest number of folds that are tried, and that of thresholds times values in all of them,
# which are looked at together.
_MOST_TRIED, _MOST_LOOKS = 4000, 4_000_000
# The number of folds that are kept.
_KEPT = 200
# The number of values between the two sides at which folds are looked at.
_INNER_VALUES = 16


@dataclasses.dataclass(frozen=True)
class Folds:
    """Different folds of one table.

    Attributes:
        bends: The folds, each of which is a line with a bend behind it.
        windows: The windows of the thresholds behind each fold.
        mirrored: Whether the windows are those of mirrored values, `-1 - value`.
    """

    bends: Bends
    windows: Windows
    mirrored: bool


def fold(column: np.ndarray) -> Folds | None:
    """Finds folds that make a table a staircase.

    Args:
        column: Integers `[256]`: the level for each of the int8 values -128..127.

    Returns:
        The folds; None if the levels do not turn once, or if no fold has been found.
    """
    rises = np.diff(column)
    (up,), (down,) = np.nonzero(rises > 0), np.nonzero(rises < 0)
    if not up.size or not down.size:
        return None
    falls_first = down[-1] < up[0]
    if not falls_first and not up[-1] < down[0]:
        return None
    left, right = (down, up) if falls_first else (up, down)
    borders = np.concatenate([left, left + 1, right, right + 1, [0, 255]])
    inner = np.linspace(left[-1] + 1, right[0], _INNER_VALUES).astype(int)
    numbers = np.unique(np.concatenate([borders, inner]))
    tried = min(_MOST_TRIED, _MOST_LOOKS // (int(np.ptp(column)) * numbers.size))
    bends = _drawn(left + LOWEST + 0.5, right + LOWEST + 0.5, tried)
    values = (numbers + LOWEST)[np.newaxis].astype(float)
    ends = [
        bends.bend(bends.line(values, first), second)
        for first in (Bound.LEAST, Bound.GREATEST)
        for second in (Bound.LEAST, Bound.GREATEST)
    ]
    least, greatest = np.minimum.reduce(ends), np.maximum.reduce(ends)
    if not falls_first:
        least, greatest = mirrored(greatest), mirrored(least)
    windows = Windows.of(least, greatest, column[numbers])
    (kept,) = np.nonzero(windows.distinct())
    kept = kept[:_KEPT]
    return Folds(bends.at(kept), windows.at(kept), not falls_first) if kept.size else None


def mirrored(values: np.ndarray) -> np.ndarray:
    """Returns int8 values in the opposite order: `-1 - value`."""
    return LOWEST + HIGHEST - values


def _drawn(left: np.ndarray, right: np.ndarray, tried: int) -> Bends:
    """Draws folds.

    Args:
        left: float64 `[steps]`: where the levels change on the left of the turn.
        right: float64 `[steps]`: where they change on the right of it.
        tried: The number of folds.
    """
    generator = np.random.default_rng(0)
    turn = generator.uniform(left[-1], right[0], tried)
    # A step on the left meets one on the right.
    one, other = generator.choice(left, tried), generator.choice(right, tried)
    quotient = (other - turn) / np.maximum(turn - one, 0.1)
    first, last = np.full(tried, left[0] - 0.5), np.full(tried, right[-1] + 0.5)
    gain, offset, zero = spread(first, last, turn, generator)
    room = INT8_STEPS / (gain * np.maximum((turn - first) * quotient, last - turn))
    above = np.clip(np.rint(MULTIPLIER_ONE * room), 1, MULTIPLIER_ONE * INT8_STEPS // 2)
    below = -np.clip(np.rint(above * quotient), 1, MULTIPLIER_ONE * INT8_STEPS // 2)
    parent = np.zeros(tried, int)
    return Bends(parent, gain, offset, zero, below, above, np.full(tried, float(LOWEST)))
