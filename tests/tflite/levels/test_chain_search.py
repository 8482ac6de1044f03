import numpy as np
import pytest

from tests.tflite.graphs import intervals
from tf_n2uq.tflite.levels.chain_search import QUICK, THOROUGH, straightened
from tf_n2uq.tflite.levels.rounding import Bound
from tf_n2uq.tflite.levels.table_chain import Bend, Line
from tf_n2uq.tflite.levels.windows import Windows

Q = np.arange(-128, 128)[np.newaxis]


def windows_of(*thresholds):
    return Windows.of(Q, Q, (Q[0][:, np.newaxis] >= np.array(thresholds)).sum(axis=1))


def levels_of(parts):
    values = Q[0]
    for part in parts[:-1]:
        values = part.results(values, Bound.IDEAL)
    return np.floor(parts[-1].gain * values + parts[-1].offset + 0.5)


def test_equally_far_thresholds_need_a_single_line():
    number, parts = straightened(windows_of(*range(-100, 50, 10)), 4, QUICK)  # type: ignore[misc]
    assert number == 0
    assert [type(part) for part in parts] == [Line]


def test_two_runs_need_a_single_bend():
    thresholds = (-100, -90, -80, -70, -50, -30, -10, 10)
    _, parts = straightened(windows_of(*thresholds), 4, QUICK)  # type: ignore[misc]
    assert [type(part) for part in parts] == [Line, Bend, Line]
    levels = np.clip(levels_of(parts), 0, 8)
    np.testing.assert_array_equal(levels, (Q[0][:, np.newaxis] >= thresholds).sum(axis=1))


def test_no_more_bends_than_allowed():
    windows = windows_of(-100, -90, -80, -70, -50, -30, -10, 10)
    assert straightened(windows, 0, QUICK) is None
    assert straightened(windows, 1, QUICK) is not None


def test_the_same_windows_give_the_same_chain():
    windows = windows_of(-100, -70, -60, -20, 30, 37, 80)
    assert straightened(windows, 4, QUICK) == straightened(windows, 4, QUICK)


def test_more_effort_finds_shorter_chains():
    rng = np.random.default_rng(0)
    columns = [intervals(rng, 15, 80.0) for _ in range(6)]
    found = {
        effort: sum(straightened(Windows.of(Q, Q, each), 4, effort) is not None for each in columns)
        for effort in (QUICK, THOROUGH)
    }
    assert found[QUICK] < found[THOROUGH] <= len(columns)


def test_one_of_several_staircases_is_chosen():
    straight, other = windows_of(-60, -40, -20, 0, 20), windows_of(-90, -40, -35, 0, 99)
    both = Windows(
        np.concatenate([other.low, straight.low]),
        np.concatenate([other.high, straight.high]),
        straight.heights,
        open_below=False,
        open_above=False,
    )
    number, parts = straightened(both, 4, QUICK)  # type: ignore[misc]
    assert number == 1
    assert len(parts) == 1


@pytest.mark.parametrize('span', [60.0, 128.0, 250.0])
def test_fifteen_learned_thresholds_need_at_most_nine_bends(span):
    rng = np.random.default_rng(int(span))
    for _ in range(4):
        column = intervals(rng, 15, span)
        _, parts = straightened(Windows.of(Q, Q, column), 9, QUICK)  # type: ignore[misc]
        np.testing.assert_array_equal(np.clip(levels_of(parts), 0, 15), column)
