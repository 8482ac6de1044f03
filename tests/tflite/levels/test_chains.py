import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from tests.tflite.graphs import intervals
from tf_n2uq.tflite.levels.chain_search import QUICK
from tf_n2uq.tflite.levels.chains import plan_chain

Q = np.arange(-128, 128)


def planned(column, most_operators=30, steps=1):
    plan = plan_chain(np.asarray(column)[:, np.newaxis], steps, 255, most_operators, QUICK)
    if plan is not None:
        np.testing.assert_array_equal(plan.evaluate(Q[:, np.newaxis])[:, 0], column)
        assert plan.is_exact(column)
        assert plan.operators <= most_operators
    return plan


@pytest.mark.parametrize('levels', [1, 3, 7, 15, 31, 63, 127])
@pytest.mark.parametrize('zero', [-120.3, -60.3])
def test_equally_far_thresholds_are_a_line(levels, zero):
    width = 0.7713 * (127 - zero) / levels
    column = np.clip(np.rint((Q - zero) / width), 0, levels).astype(int)
    assert planned(column).operators == 2


@pytest.mark.parametrize('span', [30.0, 128.0, 250.0])
def test_three_thresholds_are_a_table(span):
    rng = np.random.default_rng(int(span))
    for _ in range(20):
        assert planned(intervals(rng, 3, span), 10) is not None


@pytest.mark.parametrize('span', [50.0, 100.0, 250.0])
def test_fifteen_thresholds_are_at_most_two_tables(span):
    rng = np.random.default_rng(int(span))
    for _ in range(4):
        assert planned(intervals(rng, 15, span), 20) is not None


@pytest.mark.parametrize('level', [-7, 0, 3])
def test_a_constant_table_is_a_line(level):
    assert planned(np.full(256, level)).operators == 2


@pytest.mark.parametrize('lowest', [-15, -7, -1, 0, 3])
@pytest.mark.parametrize('sign', [1, -1])
def test_levels_may_start_anywhere_and_fall(lowest, sign):
    column = intervals(np.random.default_rng(lowest + 20), 7, 120.0) + lowest
    plan = planned(column[::sign], steps=15)
    assert plan.lowest == min(0, lowest)


@pytest.mark.parametrize('ends', [(2, 15), (0, 11), (4, 9), (-9, -3), (-12, -1)])
def test_the_lowest_and_the_highest_levels_may_never_occur(ends):
    column = np.clip(np.rint((Q + 3.3) / 7.7), *ends).astype(int)
    assert planned(column, steps=15) is not None


def test_levels_may_be_skipped():
    column = intervals(np.random.default_rng(0), 7, 120.0)
    assert planned(column + (column > 3)) is not None


@pytest.mark.parametrize('sign', [1, -1])
@pytest.mark.parametrize('steepness', [0.02, 0.04])
def test_levels_behind_a_swish_are_folded_first(sign, steepness):
    x = steepness * (Q - 5.0)
    y = x / (1 + np.exp(-x))
    column = sign * np.rint(y * 15 / np.ptp(y)).astype(int)
    assert (np.diff(column) > 0).any()
    assert (np.diff(column) < 0).any()
    plan = planned(column)
    assert plan.parts[1].below < 0


@hypothesis.given(
    st.lists(st.tuples(st.integers(0, 255), st.integers(-3, 3)), max_size=10), st.integers(-5, 5)
)
@hypothesis.settings(deadline=None, max_examples=60)
def test_a_plan_of_any_table_is_exact_if_there_is_one(steps, offset):
    column = np.full(256, offset)
    for row, height in steps:
        column[row:] += height
    planned(column)


def test_channels_that_differ_have_no_chain():
    table = np.repeat(intervals(np.random.default_rng(0), 3, 90.0)[:, np.newaxis], 4, axis=1)
    assert plan_chain(table, 3, 255, 10, QUICK) is not None
    table[100, 2] += 1
    assert plan_chain(table, 3, 255, 10, QUICK) is None


def test_there_are_no_more_operators_than_allowed():
    column = intervals(np.random.default_rng(0), 7, 120.0)
    least = planned(column).operators
    assert planned(column, least - 1) is None
    assert planned(np.zeros(256, int), 1) is None


@pytest.mark.parametrize(('steps', 'most', 'stretch'), [(1, 255, 255), (3, 255, 85), (15, 16, 16)])
def test_levels_are_stretched_for_all_that_there_are(steps, most, stretch):
    column = (Q > 3).astype(int)
    plan = plan_chain(np.repeat(column[:, np.newaxis], 2, axis=1), steps, most, 10, QUICK)
    assert plan.stretch == stretch  # type: ignore[union-attr]
    assert plan.channel_shape == (2,)  # type: ignore[union-attr]
