"""Ramps and single thresholds that together count what the thresholds themselves count."""

import numpy as np
import pytest

from tests.tflite.graphs import ALL_INT8
from tf_n2uq.tflite.levels.ramps import (
    COMPARATOR_COST,
    DEPTHWISE_MARGIN,
    SUBTRACTED_COST,
    SUBTRACTED_MARGIN,
    Ramp,
    Windows,
    cover,
)

Q = ALL_INT8.astype(np.int64)[:, np.newaxis]


def windows_of(first_on, sign=1, margin=DEPTHWISE_MARGIN):
    lowest, highest = (-128, 127) if sign > 0 else (-127, 128)
    return Windows(np.asarray(first_on), lowest, highest, margin)


def counted(found, first_on, sign):
    """The levels `[256, channels]` that a cover gives to all int8 values."""
    singles = [sign * Q >= first_on[number] for number in found.singles]
    ramps = [np.broadcast_to(ramp.evaluate(Q), (256, first_on.shape[1])) for ramp in found.ramps]
    return sum([each.astype(int) for each in [*singles, *ramps]])


@pytest.mark.parametrize('depthwise', [False, True])
@pytest.mark.parametrize('sign', [1, -1])
@pytest.mark.parametrize('spread', [0.0, 4.0, 30.0])
def test_a_cover_counts_the_thresholds_that_each_value_has_passed(spread, sign, depthwise):
    rng = np.random.default_rng(int(spread))
    ideal = np.linspace(-90.0, 80.0, 7)[:, np.newaxis] + rng.normal(0, spread, (7, 5))
    first_on = np.sort(np.clip(np.rint(ideal), -120, 120).astype(int), axis=0)
    margin = DEPTHWISE_MARGIN if depthwise else SUBTRACTED_MARGIN
    found = cover(windows_of(first_on, sign, margin), sign, depthwise)
    expected = (sign * Q >= first_on[:, np.newaxis]).sum(axis=0)
    np.testing.assert_array_equal(counted(found, first_on, sign), expected)
    assert len(found.singles) + sum(ramp.levels for ramp in found.ramps) == 7


def test_thresholds_that_are_equally_far_apart_are_one_ramp():
    first_on = np.arange(-60, 61, 20)[:, np.newaxis] + np.arange(3)
    found = cover(windows_of(first_on), 1, depthwise=False)
    (ramp,) = found.ramps
    assert (ramp.levels, found.singles) == (7, ())
    assert found.cost == SUBTRACTED_COST < 7 * COMPARATOR_COST
    np.testing.assert_allclose(ramp.width, 20.0, atol=0.2)


def test_thresholds_without_a_common_line_stay_single():
    first_on = np.array([[-100, 0], [-99, 70], [100, 71]])
    found = cover(windows_of(first_on, margin=SUBTRACTED_MARGIN), 1, depthwise=False)
    assert found.ramps == ()
    assert found.singles == (0, 1, 2)
    assert found.cost == 3 * COMPARATOR_COST


def test_only_a_depthwise_ramp_has_a_width_of_its_own_in_each_channel():
    first_on = np.stack([np.arange(-60, 60, 10), np.arange(-90, 90, 15)], axis=1)
    (ramp,) = cover(windows_of(first_on), 1, depthwise=True).ramps
    assert ramp.parts is None
    np.testing.assert_allclose(ramp.width, [10.0, 15.0], atol=0.2)
    assert not any(
        ramp.levels == 12 for ramp in cover(windows_of(first_on), 1, depthwise=False).ramps
    )


def test_a_threshold_that_is_always_on_in_a_channel_is_no_comparator():
    first_on = np.array([[-128, 10], [20, 30]])
    windows = windows_of(first_on)
    assert [windows.comparable(number) for number in (0, 1)] == [False, True]
    found = cover(windows, 1, depthwise=True)
    expected = (first_on[:, np.newaxis] <= Q).sum(axis=0)
    np.testing.assert_array_equal(counted(found, first_on, 1), expected)


def test_a_run_has_the_widths_that_fit_between_all_of_its_thresholds():
    windows = windows_of([[0], [10], [20], [100]], margin=0.0)
    runs = [list(windows.widths(last)) for last in range(4)]
    assert [[first for first, _, _ in run] for run in runs] == [[0], [1, 0], [2, 1, 0], [3, 2]]
    first, low, high = runs[2][-1]
    assert (first, float(low[0]), float(high[0])) == (0, 9.5, 10.5)


@pytest.mark.parametrize(('sign', 'expected'), [(1, [0, 0, 1, 2, 2]), (-1, [2, 1, 0, 0, 0])])
def test_a_ramp_saturates_at_both_ends(sign, expected):
    ramp = Ramp(levels=2, sign=sign, start=np.zeros(1), width=np.full(1, 10.0), parts=1)
    values = np.array([-30, -12, 12, 21, 127] if sign > 0 else [-30, -12, 0, 12, 127])
    levels = ramp.evaluate(values)
    assert levels.dtype == np.int32
    np.testing.assert_array_equal(levels, expected)
