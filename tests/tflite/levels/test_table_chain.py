import numpy as np
import pytest

from tf_n2uq.tflite.levels.rounding import Bound
from tf_n2uq.tflite.levels.table_chain import Bend, ChainPlan, Line

Q = np.arange(-128, 128)


def chain(*parts, channel_shape=(1,), level_zero=112, lowest=0, stretch=17):
    return ChainPlan(channel_shape, parts, level_zero, lowest, stretch)


def test_a_line_is_rounded_and_saturates():
    np.testing.assert_array_equal(
        Line(-2.0, 10.25).results(np.array([-128, 0, 3, 127]), Bound.IDEAL), [127, 10, 4, -128]
    )


def test_a_bend_has_a_factor_on_each_side_of_its_zero():
    bend = Bend(zero=10, below=128, above=512, offset=-20)
    np.testing.assert_array_equal(
        bend.results(np.array([-128, 0, 10, 11, 127]), Bound.IDEAL), [-89, -25, -20, -18, 127]
    )


def test_a_line_alone_makes_equal_steps():
    plan = chain(Line(0.1, 112.0))
    levels = plan.evaluate(Q)
    assert levels.dtype == np.int32
    np.testing.assert_array_equal(levels, np.clip(np.floor(Q / 10 + 0.5), 0, 15))


def test_levels_end_at_the_lowest_one():
    levels = chain(Line(0.1, 116.0), level_zero=116, lowest=-4).evaluate(Q)
    assert (levels.min(), levels.max()) == (-4, 11)


def test_levels_have_the_shape_of_the_channels():
    plan = chain(Line(0.1, 112.0), channel_shape=(1, 1, 6))
    levels = plan.evaluate(Q.reshape(-1, 1, 1, 1))
    assert levels.shape == (256, 1, 1, 6)
    assert (levels == chain(Line(0.1, 112.0)).evaluate(Q).reshape(-1, 1, 1, 1)).all()


def test_level_0_has_the_same_value_as_in_other_plans():
    assert chain(Line(1.0, 0.0), lowest=-8, stretch=16).zero_point == 0
    assert chain(Line(1.0, 0.0), lowest=0, stretch=16).zero_point == -128


@pytest.mark.parametrize(('parts', 'tables'), [(1, 1), (9, 1), (10, 2), (19, 2), (20, 3)])
def test_ten_operators_are_one_table(parts, tables):
    plan = chain(*[Line(1.0, 0.0)] * parts)
    assert plan.operators == parts + 1
    assert plan.tables == tables


def test_a_chain_is_exact_only_if_no_kernel_may_round_a_value_to_another_level():
    for offset, exact in ((112.05, True), (112.0, False)):
        plan = chain(Line(0.1, offset))
        assert plan.is_exact(plan.evaluate(Q)) is exact


def test_a_chain_with_other_levels_is_not_exact():
    plan = chain(Line(0.1, 112.05))
    assert not plan.is_exact(np.roll(plan.evaluate(Q), 1))


def test_a_bend_that_kernels_round_differently_is_not_exact():
    # The values of the bend are levels, so that each difference counts.
    plan = chain(Line(1.0, 0.0), Bend(0, 77, 77, 0), Line(1.0, 0.0), level_zero=0, lowest=-40)
    assert not plan.is_exact(plan.evaluate(Q))
