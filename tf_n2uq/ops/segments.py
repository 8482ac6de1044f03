"""Staircases and piecewise linear functions over sorted breakpoints.

Two ways of doing the same, because neither serves 3 steps and 255: a short chain of vectorized
operations for each step, or a binary search and table look-ups. Each is used where it was measured
to be the faster.
"""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

_MOST_COMPARED = 15
_MOST_CHAINED = 31


class SegmentSums(NamedTuple):
    """What the gradient of a staircase's parameters is made of.

    With segments i = 1…n between breakpoints d_0…d_n, thresholds t_i inside them, and a weight g
    for every value z:

    Attributes:
        weight: `[n]`: Σ g over d_{i−1} < z <= d_i.
        moment: `[n]`: Σ g·(z − t_i) over the same.
        upper_half: `[]`: Σ g over all z of all segments with z > t_i.
        above: `[]`: Σ g over z > d_n.
    """

    weight: tf.Tensor
    moment: tf.Tensor
    upper_half: tf.Tensor
    above: tf.Tensor

    def pack(self) -> tf.Tensor:
        """All sums as one vector `[2n + 2]`."""
        return tf.concat([self.weight, self.moment, [self.upper_half, self.above]], 0)

    @classmethod
    def unpack(cls, packed: tf.Tensor) -> SegmentSums:
        """The opposite of `pack`."""
        n = (packed.shape[0] - 2) // 2
        return cls(packed[:n], packed[n : 2 * n], packed[2 * n], packed[2 * n + 1])


def count_below(values: tf.Tensor, thresholds: tf.Tensor) -> tf.Tensor:
    """Number of thresholds strictly below each value, by operations that TFLite has built in.

    Args:
        values: Any shape, float.
        thresholds: `[n]`, ascending, same dtype, n = 2^b − 1 known statically.

    Returns:
        int32, shape of `values`, 0..n. A NaN has no threshold below it.
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


def weighted_count_below(values: tf.Tensor, thresholds: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """`count_below` times a scalar, as floats and without integers or booleans in between.

    Args:
        values: `[m]`, float.
        thresholds: `[n]`, as for `count_below`.
        weight: `[]`, dtype of `values`.

    Returns:
        `[m]`, dtype of `values`.
    """
    if thresholds.shape[0] > _MOST_CHAINED:
        return tf.cast(count_below(values, thresholds), values.dtype) * weight
    weights = tf.fill(tf.shape(values), weight)
    total = None
    for threshold in tf.unstack(thresholds):
        # One threshold after the other: started all at once their temporaries leave the cache.
        with tf.control_dependencies([] if total is None else [total]):
            step = _where_positive(weights, values - threshold)
            total = step if total is None else total + step
    return total


def segment_gradient(
    values: tf.Tensor,
    weights: tf.Tensor,
    breakpoints: tf.Tensor,
    thresholds: tf.Tensor,
    slopes: tf.Tensor,
) -> tuple[tf.Tensor, SegmentSums]:
    """Weights times the slope of the segment that each value lies in, and sums per segment.

    Args:
        values: `[m]`, float.
        weights: `[m]`, same dtype.
        breakpoints: `[n + 1]`, ascending: segment i is (d_{i−1}, d_i].
        thresholds: `[n]`, one inside each segment.
        slopes: `[n]`, one for each segment; outside of all segments the slope is 0.

    Returns:
        `[m]`, and the `SegmentSums`.
    """
    by = _by_chain if thresholds.shape[0] <= _MOST_CHAINED else _by_lookup
    return by(values, weights, breakpoints, thresholds, slopes)


def _where_positive(values: tf.Tensor, condition: tf.Tensor) -> tf.Tensor:
    """`values` where `condition` > 0, else 0: the one fused and vectorized operation for it."""
    return tf.raw_ops.ReluGrad(gradients=values, features=condition)


def _by_chain(
    values: tf.Tensor,
    weights: tf.Tensor,
    breakpoints: tf.Tensor,
    thresholds: tf.Tensor,
    slopes: tf.Tensor,
) -> tuple[tf.Tensor, SegmentSums]:
    first_breakpoint, *ends = tf.unstack(breakpoints)
    result = moments = None
    segment_weight, segment_moment = [], []
    first = above = _where_positive(weights, values - first_breakpoint)
    done: list[tf.Tensor] = []
    for end, threshold, slope in zip(ends, tf.unstack(thresholds), tf.unstack(slopes), strict=True):
        with tf.control_dependencies(done):
            next_above = _where_positive(weights, values - end)
            # Exact: the two are equal, or one of them is zero.
            inside = above - next_above
            moment = inside * (values - threshold)
            segment_weight.append(tf.reduce_sum(inside))
            segment_moment.append(tf.reduce_sum(moment))
            scaled = inside * slope
            result = scaled if result is None else result + scaled
            moments = moment if moments is None else moments + moment
            above = next_above
            done = [result, moments, segment_weight[-1], segment_moment[-1]]
    with tf.control_dependencies(done):
        upper_half = tf.reduce_sum(_where_positive(first - above, moments * weights))
    return result, SegmentSums(
        tf.stack(segment_weight), tf.stack(segment_moment), upper_half, tf.reduce_sum(above)
    )


def _by_lookup(
    values: tf.Tensor,
    weights: tf.Tensor,
    breakpoints: tf.Tensor,
    thresholds: tf.Tensor,
    slopes: tf.Tensor,
) -> tuple[tf.Tensor, SegmentSums]:
    n = thresholds.shape[0]
    # d_0 first, the 2^b − 1 others by binary search: 0 below all segments, n + 1 above.
    index = tf.where(
        values > breakpoints[0], count_below(values, breakpoints[1:]) + 1, tf.zeros([], tf.int32)
    )
    slope = tf.gather(tf.pad(slopes, [[1, 1]]), index)
    inside = tf.where((index > 0) & (index <= n), weights, tf.zeros([], weights.dtype))
    moment = inside * (values - tf.gather(tf.pad(thresholds, [[1, 1]]), index))
    sums = [_sum_by_index(index, v, n + 2) for v in (weights, moment)]
    upper_half = tf.reduce_sum(_where_positive(inside, moment * weights))
    return weights * slope, SegmentSums(sums[0][1:-1], sums[1][1:-1], upper_half, sums[0][-1])


def _sum_by_index(index: tf.Tensor, values: tf.Tensor, size: int) -> tf.Tensor:
    return tf.raw_ops.DenseBincount(input=index, size=size, weights=values)
