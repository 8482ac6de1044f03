import hypothesis
import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import strategies as st

from tests.tflite.graphs import ALL_INT8, learned, staircase
from tf_n2uq.tflite.levels.comparators import plan_comparators


def evaluate(plan):
    q = ALL_INT8.reshape(256, *(1,) * len(plan.channel_shape))
    return plan.evaluate(q)


@hypothesis.given(
    hnp.arrays(
        np.int32,
        hnp.array_shapes(min_dims=1, max_dims=3, max_side=3).map(lambda shape: (256, *shape)),
        elements=st.integers(0, 3),
        fill=st.integers(0, 3),
    ),
    st.integers(-9, 9),
)
@hypothesis.settings(deadline=None, max_examples=60)
def test_any_small_table_is_a_sum_of_comparators(table, offset):
    # Few values that jump about need more comparators at once than an int8 sum counts.
    table = np.sort(table, axis=0) + offset
    plan = plan_comparators(table)
    np.testing.assert_array_equal(evaluate(plan), table)


@hypothesis.given(
    hnp.arrays(np.int32, (256, 1, 1, 3), elements=st.integers(0, 3), fill=st.integers(0, 3)),
    st.integers(-9, 9),
)
@hypothesis.settings(deadline=None, max_examples=60)
def test_any_small_table_of_an_image_is_a_sum_with_ramps(table, offset):
    table = np.sort(table, axis=0) + offset
    table[..., 0] = table[::-1, ..., 0]
    plan = plan_comparators(table)
    np.testing.assert_array_equal(evaluate(plan), table)


@hypothesis.given(st.data())
@hypothesis.settings(deadline=None, max_examples=100)
def test_a_few_steps_up_and_down_anywhere_are_a_sum_of_comparators(data):
    steps = data.draw(
        st.lists(st.tuples(st.integers(0, 255), st.integers(-4, 4)), min_size=0, max_size=12)
    )
    table = np.zeros((256, 2), np.int32)
    for row, height in steps:
        table[row:, 0] += height
    plan = plan_comparators(table)
    np.testing.assert_array_equal(evaluate(plan), table)


@pytest.mark.parametrize('levels', [1, 3, 7, 15, 31, 63, 127])
@pytest.mark.parametrize('kind', ['monotone', 'slopes', 'shared'])
@pytest.mark.parametrize('shape', [(6,), (1, 1, 6), (2, 3, 6)])
def test_thresholds_of_every_bit_width_are_exact(levels, kind, shape):
    table = staircase(np.random.default_rng(levels), levels, shape, kind)
    np.testing.assert_array_equal(evaluate(plan_comparators(table)), table)


def test_a_plan_has_as_many_comparators_as_its_busiest_channel_steps():
    table = np.zeros((256, 3), np.int32)
    table[100:, 0] += 1
    table[200:, 0] += 1  # two up
    table[10:, 1] += 1
    table[250:, 1] += 1  # two up, further apart
    table[:50, 2] += 1  # one down
    plan = plan_comparators(table)
    assert (len(plan.rising), len(plan.falling), plan.ramps) == (2, 1, ())
    assert plan.base is None
    assert plan.comparators == 3
    np.testing.assert_array_equal(plan.rising[0], np.int8([-29, -119, 127]))
    np.testing.assert_array_equal(plan.falling[0], np.int8([-128, -128, -78]))


def test_equal_thresholds_of_all_channels_become_one():
    plan = plan_comparators(staircase(np.random.default_rng(0), 7, (4, 4, 8), 'shared'))
    assert {threshold.shape for threshold in plan.rising} == {(1,)}
    assert {ramp.start.shape for ramp in plan.ramps} == {(1,)}


@pytest.mark.parametrize('levels', [3, 7, 15, 31, 63, 127])
@pytest.mark.parametrize('zero_point', [-128, -126, -3])
def test_equally_far_thresholds_are_one_ramp(levels, zero_point):
    # As PACT and a clipped ReLU make them, clipped at 3/4 of the range.
    q = np.arange(-128, 128)
    width = 0.75 * (127 - zero_point) / levels
    table = np.rint(np.clip((q - zero_point) / width, 0, levels)).astype(int)
    plan = plan_comparators(table[:, None] + np.zeros((1, 6), int))
    assert plan.comparators == 0
    assert [ramp.levels for ramp in plan.ramps] == [levels]
    np.testing.assert_array_equal(evaluate(plan), np.repeat(table[:, None], 6, axis=1))


@pytest.mark.parametrize('levels', [3, 7, 15])
@pytest.mark.parametrize('spread', [0.0, 0.2, 0.5])
def test_learned_thresholds_per_channel_are_exact_and_half_as_many(levels, spread):
    table = learned(np.random.default_rng(levels), levels, 24, spread)
    plan = plan_comparators(table)
    np.testing.assert_array_equal(evaluate(plan), table)
    assert plan.comparators + len(plan.ramps) <= (levels + 1) // 2 + 1


def test_only_images_have_ramps_whose_width_differs_between_channels():
    q = np.arange(-128, 128)[:, None]
    table = np.clip(np.rint((q + 80.27) / np.array([8.21, 10.13, 13.37])), 0, 15).astype(int)
    plan = plan_comparators(table[:, None, None])
    (ramp,) = plan.ramps
    assert (ramp.levels, ramp.width.shape, ramp.parts) == (15, (1, 1, 3), None)
    dense = plan_comparators(table)
    assert all(ramp.parts is not None and ramp.width.size == 1 for ramp in dense.ramps)
    np.testing.assert_array_equal(evaluate(dense), table)


def test_a_channel_that_begins_at_a_higher_level_has_the_others_ramp():
    q = np.arange(-128, 128)[:, None]
    table = np.clip(np.rint((q - np.array([-100.3, -200.1, 20.2])) / 10.1), 0, 15).astype(int)
    plan = plan_comparators(table[:, None, None])
    assert (plan.comparators, len(plan.ramps), plan.base) == (0, 1, None)
    np.testing.assert_array_equal(evaluate(plan), table[:, None, None])


def test_ramps_leave_levels_as_much_room_to_stretch():
    rng = np.random.default_rng(0)
    for kind in ('monotone', 'slopes'):
        table = staircase(rng, 15, (1, 1, 32), kind)
        assert plan_comparators(table, 15).stretch == plan_comparators(table[:, 0, 0], 15).stretch


def test_a_constant_needs_a_base_and_no_comparator():
    plan = plan_comparators(np.full((256, 4), 3))
    assert plan.comparators == 0
    np.testing.assert_array_equal(plan.base, np.int8([3]))
    assert plan_comparators(np.zeros((256, 4), int)).base is None


def test_a_table_without_channel_axis_is_one_function_for_all():
    table = np.arange(256) // 64
    plan = plan_comparators(table)
    assert plan.channel_shape == (1,)
    np.testing.assert_array_equal(evaluate(plan)[:, 0], table)


@pytest.mark.parametrize(
    ('table', 'error', 'message'),
    [
        (np.zeros((255, 3), int), ValueError, r'\[256, \*channel_shape\].*got \(255, 3\)'),
        (np.zeros((256, 0), int), ValueError, 'at least one channel'),
        (np.zeros((), int), ValueError, r'got \(\)'),
        (np.zeros((256, 3)), TypeError, 'integer levels, got dtype float64'),
        (np.full((256, 1), 128), ValueError, 'levels in -128..127.*got 128..128'),
        (
            (np.arange(256) % 2 * 2)[:, None] - np.int64(1),
            ValueError,
            'at most 255 comparators.*got',
        ),
    ],
)
def test_what_no_int8_sum_can_hold_is_refused(table, error, message):
    with pytest.raises(error, match=message):
        plan_comparators(table)


@pytest.mark.parametrize('sign', [1, -1])
@pytest.mark.parametrize(('steps', 'stretch'), [(1, 255), (3, 85), (7, 36), (15, 17), (127, 2)])
def test_levels_are_stretched_for_all_that_there_are(steps, stretch, sign):
    table = np.zeros((256, 2), np.int32)
    table[100:, 0] = sign  # no level further from zero is in use
    assert plan_comparators(table, steps).stretch == stretch
