import numpy as np

from tests.tflite.graphs import intervals
from tf_n2uq.tflite.levels.bends import draw, spread
from tf_n2uq.tflite.levels.rounding import Bound
from tf_n2uq.tflite.levels.windows import Runs, Windows, longest_runs, starts_of_runs

Q = np.arange(-128, 128)[np.newaxis]


def drawn(column, tried=400):
    windows = Windows.of(Q, Q, column)
    return draw(windows, Runs.of(windows), tried, np.random.default_rng(0))


def test_windows_are_those_behind_the_line_and_the_bend():
    column = intervals(np.random.default_rng(0), 7, 150.0)
    bends, windows = drawn(column)
    assert len(bends.parent) > 100
    for number in range(0, len(bends.parent), 40):
        line, bend = bends.parts(number)
        ends = [
            bend.results(line.results(Q[0], bound), bound)
            for bound in (Bound.GREATEST, Bound.LEAST)
        ]
        expected = Windows.of(ends[1][np.newaxis], ends[0][np.newaxis], column)
        np.testing.assert_array_equal(windows.low[number], expected.low[0])
        np.testing.assert_array_equal(windows.high[number], expected.high[0])


def test_no_candidate_loses_a_threshold():
    _, windows = drawn(intervals(np.random.default_rng(1), 15, 240.0), 4000)
    assert windows.distinct().all()


def test_most_bends_of_two_runs_make_them_one():
    thresholds = np.array([-100, -90, -80, -70, -50, -30, -10, 10])
    _, windows = drawn((Q[0][:, np.newaxis] >= thresholds).sum(axis=1))
    runs = starts_of_runs(longest_runs(windows)).sum(axis=1)
    assert np.mean(runs == 1) > 0.3


def test_factors_and_offsets_are_those_of_operators():
    bends, _ = drawn(intervals(np.random.default_rng(2), 7, 60.0))
    for number in range(len(bends.parent)):
        line, bend = bends.parts(number)
        assert 1 / 1024 < line.gain < 256
        assert 1 <= bend.above <= 32768
        assert 1 <= bend.below <= 32768
        assert 1 / 70 < bend.below / bend.above < 70
        assert -128 <= bend.zero <= 127
        assert -128 <= bend.offset <= 127


def test_lines_spread_an_interval_over_int8():
    ones = np.ones(1000)
    gain, offset, zero = spread(-10 * ones, 40 * ones, 15 * ones, np.random.default_rng(0))
    # A fraction of a value may be lost at either end.
    assert (gain * -10 + offset >= -129).all()
    assert (gain * 40 + offset <= 128).all()
    assert np.isclose(gain.max(), 255 / 50)
    np.testing.assert_array_equal(zero, np.rint(zero))
    assert (np.abs(gain * 15 + offset - zero) <= 0.5).all()
