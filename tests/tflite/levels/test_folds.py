import numpy as np
import pytest

from tf_n2uq.tflite.levels.folds import fold, mirrored
from tf_n2uq.tflite.levels.rounding import Bound

Q = np.arange(-128, 128)


def swish(steepness, levels):
    x = steepness * (Q - 5.0)
    y = x / (1 + np.exp(-x))
    return np.rint(y * levels / np.ptp(y)).astype(int)


@pytest.mark.parametrize('sign', [1, -1])
def test_levels_rise_with_folded_values(sign):
    column = sign * swish(0.04, 15)
    folds = fold(column)
    assert folds.mirrored == (sign < 0)  # type: ignore[union-attr]
    assert folds.windows.distinct().all()  # type: ignore[union-attr]
    line, bend = folds.bends.parts(0)  # type: ignore[union-attr]
    assert bend.below < 0 < bend.above  # type: ignore[union-attr]
    values = bend.results(line.results(Q, Bound.IDEAL), Bound.IDEAL)
    if folds.mirrored:  # type: ignore[union-attr]
        values = mirrored(values)
    least = [values[column == level].min() for level in np.unique(column)]
    greatest = [values[column == level].max() for level in np.unique(column)]
    assert (np.array(greatest[:-1]) < np.array(least[1:])).all()


def test_windows_lie_between_the_values_of_neighbouring_levels():
    column = swish(0.04, 15)
    folds = fold(column)
    line, bend = folds.bends.parts(0)  # type: ignore[union-attr]
    values = bend.results(line.results(Q, Bound.IDEAL), Bound.IDEAL)
    for number, height in enumerate(folds.windows.heights):  # type: ignore[union-attr]
        low, high = folds.windows.low[0, number], folds.windows.high[0, number]  # type: ignore[union-attr]
        assert values[column < height].max() <= low < high <= values[column > height].min()


def test_mirrored_values_are_in_the_opposite_order():
    np.testing.assert_array_equal(mirrored(Q), Q[::-1])


@pytest.mark.parametrize(
    'column',
    [np.zeros(256, int), np.arange(256) // 20, -np.arange(256) // 20, np.arange(256) // 20 % 3],
)
def test_levels_that_do_not_turn_once_are_not_folded(column):
    assert fold(column) is None


def test_sides_that_do_not_meet_are_not_folded():
    # The left side has three levels on three values, and the right one has them far apart, with
    # unequal intervals.
    column = np.zeros(256, int)
    for row in (101, 102, 103):
        column[:row] += 1
    for row in (104, 105, 200):
        column[row:] += 1
    assert fold(column) is None
