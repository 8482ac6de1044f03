"""Windows of thresholds, and the runs that one straight line passes through."""

import numpy as np
import pytest

from tests.tflite.graphs import intervals
from tf_n2uq.tflite.levels.rounding import subtracted
from tf_n2uq.tflite.levels.windows import (
    Runs,
    Windows,
    longest_runs,
    starts_of_runs,
    unevenness,
)

Q = np.arange(-128, 128)[np.newaxis]


def windows_of(column):
    return Windows.of(Q, Q, np.asarray(column))


def staircase(*thresholds):
    return (Q[0][:, np.newaxis] >= np.array(thresholds)).sum(axis=1)


def test_a_window_lies_between_the_values_next_to_a_threshold():
    windows = windows_of(staircase(-20, 30))
    np.testing.assert_array_equal(windows.low, [[-21, 29]])
    np.testing.assert_array_equal(windows.high, [[-20, 30]])
    np.testing.assert_array_equal(windows.heights, [0.5, 1.5])
    assert (windows.first, windows.last) == (-21, 30)


def test_a_jump_of_two_levels_is_two_thresholds_in_one_window():
    windows = windows_of(staircase(5, 5))
    np.testing.assert_array_equal(windows.low, [[4, 4]])
    assert longest_runs(windows)[0, 0] == 2


@pytest.mark.parametrize(
    ('moved', 'heights', 'ends'),
    [
        (0, [0.5, 1.5], (False, False)),
        (-1, [-0.5, 0.5], (False, False)),
        (3, [2.5, 3.5, 4.5], (True, False)),
        (-4, [-3.5, -2.5, -1.5], (False, True)),
    ],
)
def test_ends_at_which_nothing_saturates_have_a_threshold(moved, heights, ends):
    windows = windows_of(staircase(-20, 30) + moved)
    np.testing.assert_array_equal(windows.heights, heights)
    assert (windows.open_below, windows.open_above) == ends
    # They do not count for the values that matter.
    assert (windows.first, windows.last) == (-21, 30)
    if windows.open_below:
        assert windows.high[0, 0] == -128
    if windows.open_above:
        assert windows.low[0, -1] == 127


def test_windows_after_a_function_hold_for_every_kernel():
    windows = windows_of(staircase(-20, 30))
    # 0.5 · -21 and 0.5 · 29 are halves, which kernels round either way.
    halved = windows.mapped(lambda values, bound: subtracted(values, 0.5, 0.0, bound))
    np.testing.assert_array_equal(halved.low, [[-10, 15]])
    np.testing.assert_array_equal(halved.high, [[-10, 15]])
    np.testing.assert_array_equal(halved.distinct(), [False])
    doubled = windows.mapped(lambda values, bound: subtracted(values, 2.0, 0.0, bound))
    np.testing.assert_array_equal(doubled.low, [[-42, 58]])
    np.testing.assert_array_equal(doubled.distinct(), [True])


def test_the_windows_of_some_staircases():
    windows = windows_of(staircase(-20, 30)).at(np.array([0, 0, 0]))
    assert windows.low.shape == (3, 2)


def test_equally_far_thresholds_are_one_run():
    windows = windows_of(staircase(*range(-100, 50, 10)))
    np.testing.assert_array_equal(longest_runs(windows), [np.arange(15, 0, -1)])
    assert unevenness(windows)[0] == 0.0
    runs = Runs.of(windows)
    assert runs.least[-1, 0, 0] < 10 < runs.most[-1, 0, 0]
    np.testing.assert_array_equal(runs.behind, [np.arange(1, 16)])


def test_runs_end_where_intervals_change():
    windows = windows_of(staircase(-100, -90, -80, -70, -40, -10, 20))
    ahead = longest_runs(windows)
    np.testing.assert_array_equal(ahead[0, [0, 3]], [4, 4])
    np.testing.assert_array_equal(np.flatnonzero(starts_of_runs(ahead)[0]), [0, 4])
    assert unevenness(windows)[0] > 0.0


def test_a_run_is_what_some_line_passes_through():
    rng = np.random.default_rng(0)
    for _ in range(10):
        windows = windows_of(intervals(rng, 7, 100.0))
        ahead, behind = longest_runs(windows), Runs.of(windows).behind
        for first in range(7):
            for last in range(first, 7):
                expected = _line_exists(windows, first, last)
                assert (first + ahead[0, first] > last) == expected
                assert (last - behind[0, last] < first) == expected


def _line_exists(windows, first, last):
    """Tries all slopes, and for each of them whether a line of that slope is in all windows."""
    heights = windows.heights[first : last + 1]
    ahead = np.linspace(0.0, 120.0, 20001)[:, np.newaxis] * heights
    low = (windows.low[0, first : last + 1] + 0.002 - ahead).max(axis=1)
    high = (windows.high[0, first : last + 1] - 0.002 - ahead).min(axis=1)
    return bool((low < high).any())


def test_open_windows_stay_open():
    windows = windows_of(staircase(-20, 30) + 3)
    mapped = windows.mapped(lambda values, bound: np.clip(values * 2, -128, 127))
    assert mapped.high[0, 0] - mapped.low[0, 0] == windows.high[0, 0] - windows.low[0, 0] > 1
