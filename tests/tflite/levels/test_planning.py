import numpy as np
import pytest

from tests.tflite.graphs import intervals, learned
from tf_n2uq.tflite.levels import costs
from tf_n2uq.tflite.levels.chain_search import QUICK
from tf_n2uq.tflite.levels.chains import plan_chain
from tf_n2uq.tflite.levels.comparators import ComparatorPlan, plan_comparators
from tf_n2uq.tflite.levels.planning import plan_operators, plan_tables
from tf_n2uq.tflite.levels.table_chain import ChainPlan

Q = np.arange(-128, 128).reshape(256, 1, 1, 1)


def alike(column, channels=3):
    return np.repeat(column.reshape(256, 1, 1, 1), channels, axis=-1)


@pytest.mark.parametrize('planner', [plan_tables, plan_operators])
@pytest.mark.parametrize('levels', [1, 3, 7, 15])
def test_plans_have_the_levels_and_the_values_of_comparators(planner, levels):
    table = alike(intervals(np.random.default_rng(levels), levels, 128.0))
    plan, comparators = planner(table, levels), plan_comparators(table, levels)
    np.testing.assert_array_equal(plan.evaluate(Q), table)
    assert plan.channel_shape == comparators.channel_shape == (1, 1, 3)
    assert (plan.stretch, plan.lowest) == (comparators.stretch, comparators.lowest)
    assert plan.zero_point == comparators.zero_point


@pytest.mark.parametrize('planner', [plan_tables, plan_operators])
def test_channels_that_differ_have_comparators(planner):
    table = learned(np.random.default_rng(0), 7, 6, 0.3)
    assert isinstance(planner(table, 7), ComparatorPlan)


@pytest.mark.parametrize('planner', [plan_tables, plan_operators])
def test_equally_far_thresholds_are_two_operators(planner):
    column = np.clip(np.rint((Q + 90.3) / 12), 0, 15).astype(int)
    assert planner(alike(column), 15).operators == 2


def test_learned_thresholds_of_all_channels_are_one_or_two_tables():
    rng = np.random.default_rng(0)
    for levels, tables in ((3, 1), (7, 1), (15, 2)):
        plan = plan_tables(alike(intervals(rng, levels, 100.0)), levels)
        assert isinstance(plan, ChainPlan)
        assert plan.tables <= tables


def test_a_table_fewer_is_worth_more_effort():
    # The first attempt finds a chain of 12 operators.
    rng = np.random.default_rng(1)
    plans = [plan_tables(alike(intervals(rng, 15, 60.0)), 15) for _ in range(8)]
    assert all(plan.tables == 1 for plan in plans)  # type: ignore[union-attr]


def test_no_chain_takes_longer_than_the_comparators_in_whose_place_it_is():
    rng = np.random.default_rng(2)
    for levels in (1, 3, 7, 15):
        table = alike(intervals(rng, levels, 200.0))
        plan, comparators = plan_tables(table, levels), plan_comparators(table, levels)
        terms = comparators.comparators + len(comparators.ramps)
        time = terms * costs.TABLE + (terms - 1) * costs.SUM
        assert plan.tables * costs.TABLE <= time  # type: ignore[union-attr]


def test_operators_are_the_fewest_and_chains_are_preferred():
    rng = np.random.default_rng(0)
    for levels in (3, 7, 15):
        for _ in range(4):
            table = alike(intervals(rng, levels, 120.0))
            plan, comparators = plan_operators(table, levels), plan_comparators(table, levels)
            assert plan.operators <= comparators.operators
            chain = plan_chain(table, levels, 255, comparators.operators, QUICK)
            assert isinstance(plan, ChainPlan) == (chain is not None)


def test_thresholds_without_a_chain_have_comparators():
    column = np.arange(256) // 8 % 2
    assert isinstance(plan_tables(alike(column), 1), ComparatorPlan)
    assert isinstance(plan_operators(alike(column), 1), ComparatorPlan)


@pytest.mark.parametrize('planner', [plan_tables, plan_operators])
def test_what_no_int8_tensor_can_hold_is_refused(planner):
    with pytest.raises(ValueError, match=r'levels in -128..127'):
        planner(np.full((256, 1), 128))
    with pytest.raises(TypeError, match='integer levels'):
        planner(np.zeros((256, 3)))
