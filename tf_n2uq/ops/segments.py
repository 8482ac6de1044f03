"""Staircases and piecewise linear functions over sorted breakpoints.

The functions are written for XLA, which makes one vectorized loop of a chain of elementwise
operations and so keeps the temporaries in registers. Only `count_below` also runs, and converts,
without XLA.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

_MOST_COMPARED = 15
# Sums are taken over rows of this shape: values that one instruction after the other adds up, and
# columns for the vector unit. With fewer of either, XLA no longer vectorizes; with more, XLA
# compiles longer. The result depends on them by rounding alone.
_UNROLLED, _COLUMNS = 16, 64
ROW = _UNROLLED * _COLUMNS


class SegmentSums(NamedTuple):
    """The sums from which the gradient of a staircase's parameters is computed.

    With segments i = 1…n between breakpoints d_0…d_n, thresholds t_i inside them, and a weight g
    for every value z:

    Attributes:
        weight: `[n]`: Σ g over d_{i−1} < z <= d_i.
        moment: `[n]`: Σ g·(z − t_i) over the same.
        upper_half: `[n]`: Σ g over t_i < z <= d_i.
    """

    weight: tf.Tensor
    moment: tf.Tensor
    upper_half: tf.Tensor


def count_below(values: tf.Tensor, thresholds: tf.Tensor) -> tf.Tensor:
    """Counts the thresholds strictly below each value, by operations that TFLite has built in.

    Args:
        values: A tensor of any shape and of a floating point dtype.
        thresholds: `[n]`, ascending, of the same dtype, n = 2^b − 1 known statically.

    Returns:
        int32, of the shape of `values`, 0..n. A NaN has no threshold below it.
    """
    n = thresholds.shape[0]
    if n <= _MOST_COMPARED:
        count = tf.cast(values > thresholds[0], tf.int32)
        for i in range(1, n):
            count += tf.cast(values > thresholds[i], tf.int32)
        return count
    count = tf.zeros_like(values, tf.int32)
    step = (n + 1) // 2
    while step:
        beyond = values > tf.gather(thresholds, count + (step - 1))
        count += tf.cast(beyond, tf.int32) * step
        step //= 2
    return count


def slope_at(values: tf.Tensor, breakpoints: tf.Tensor, slopes: tf.Tensor) -> tf.Tensor:
    """Returns the slope of the segment that each value lies in, and 0 outside of all segments.

    Args:
        values: A tensor of any shape and of a floating point dtype.
        breakpoints: `[n + 1]`, ascending, of the same dtype: segment i is (d_{i−1}, d_i].
        slopes: `[n]`, of the same dtype.

    Returns:
        A tensor with the shape and dtype of `values`.
    """
    zero = tf.zeros_like(values)
    slope = zero
    for begin, inside in zip(tf.unstack(breakpoints), [*tf.unstack(slopes), zero], strict=True):
        slope = tf.where(values > begin, inside, slope)
    return slope


def segment_sums(
    values: tf.Tensor, weights: tf.Tensor, breakpoints: tf.Tensor, thresholds: tf.Tensor
) -> SegmentSums:
    """Returns the sums of weights over the values of each segment.

    Each sum is taken over its segment alone. Differences of sums over everything above a breakpoint
    would be a third cheaper, and would lose the digits of narrow segments.

    Args:
        values: `[m]`, of a floating point dtype, m a multiple of `ROW`.
        weights: `[m]`, of the same dtype.
        breakpoints: `[n + 1]`, as for `slope_at`.
        thresholds: `[n]`, one inside each segment.

    Returns:
        The `SegmentSums`.
    """
    rows = [-1, _UNROLLED, 1, _COLUMNS]
    values, weights = tf.reshape(values, rows), tf.reshape(weights, rows)
    begins, ends = breakpoints[:-1, None], breakpoints[1:, None]
    thresholds = thresholds[:, None]
    zero = tf.zeros([], values.dtype)
    weight, moment, upper_half = [], [], []
    for i in range(_UNROLLED):
        z = values[:, i]
        inside = tf.where((z > begins) & (z <= ends), weights[:, i], zero)
        weight.append(inside)
        moment.append(inside * (z - thresholds))
        upper_half.append(tf.where(z > thresholds, inside, zero))
    return SegmentSums(
        *(tf.reduce_sum(tf.add_n(terms), [0, 2]) for terms in (weight, moment, upper_half))
    )
