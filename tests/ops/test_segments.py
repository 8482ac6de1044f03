"""Staircases and piecewise linear functions, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tf_n2uq.ops.segments import ROW, count_below, segment_sums, slope_at


def staircase(count):
    breakpoints = np.cumsum(np.random.default_rng(count).uniform(0.1, 1, count + 1))
    thresholds = (breakpoints[:-1] + breakpoints[1:]) / 2
    return breakpoints.astype(np.float32), thresholds.astype(np.float32)


def values_around(breakpoints, size=ROW):
    generator = np.random.default_rng(0)
    values = generator.uniform(breakpoints[0] - 1, breakpoints[-1] + 1, size)
    values[: len(breakpoints)] = breakpoints  # exactly on a breakpoint, too
    return values.astype(np.float32)


@pytest.mark.parametrize('bits', range(1, 9))
def test_thresholds_strictly_below_are_counted(bits):
    _, thresholds = staircase(2**bits - 1)
    values = np.append(values_around(thresholds), np.float32(np.nan))
    expected = (values[:, np.newaxis] > thresholds).sum(axis=1)
    np.testing.assert_array_equal(count_below(tf.constant(values), thresholds), expected)


def test_a_slope_holds_up_to_and_with_the_end_of_its_segment():
    breakpoints, _ = staircase(3)
    values, slopes = values_around(breakpoints), np.array([1.0, 2.0, 3.0], np.float32)
    segment = np.searchsorted(breakpoints, values, side='left') - 1
    expected = np.where((segment >= 0) & (segment < 3), slopes[np.clip(segment, 0, 2)], 0)
    got = slope_at(tf.constant(values), tf.constant(breakpoints), tf.constant(slopes))
    np.testing.assert_array_equal(got, expected)


def test_sums_are_taken_over_each_segment_alone():
    breakpoints, thresholds = staircase(7)
    values = values_around(breakpoints, 3 * ROW)
    weights = np.random.default_rng(1).normal(size=values.size).astype(np.float32)
    sums = segment_sums(*(tf.constant(each) for each in (values, weights, breakpoints, thresholds)))
    for i, threshold in enumerate(thresholds):
        inside = (values > breakpoints[i]) & (values <= breakpoints[i + 1])
        upper = inside & (values > threshold)
        expected = [
            weights[inside].sum(),
            (weights * (values - threshold))[inside].sum(),
            weights[upper].sum(),
        ]
        got = [sums.weight[i], sums.moment[i], sums.upper_half[i]]
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-3)
