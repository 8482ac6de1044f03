"""The quantization of activations and of kernels by N2UQ.

Liu, Cheng, Huang, Xing, Shen: "Nonuniform-to-Uniform Quantization: Towards Accurate Quantization
via Generalized Straight-Through Estimation", CVPR 2022, https://arxiv.org/abs/2111.14826.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from tf_n2uq.ops.channels import reduction_axes
from tf_n2uq.ops.compiled import call_compiled, call_traced, sum_over_chunks
from tf_n2uq.ops.segments import ROW, count_below, segment_sums, slope_at

SMALLEST_INTERVAL = 1e-3
# A channel whose mean magnitude is not even this is taken for all zeros.
_SMALLEST_SCALE = 1e-30


def floored_intervals(intervals: tf.Tensor) -> tf.Tensor:
    """Replaces intervals that are not above 1e-3 by 1e-3, where the gradient is zero.

    Args:
        intervals: `[n]`, of a floating point dtype.

    Returns:
        `[n]`, of the same dtype.
    """
    intervals = tf.convert_to_tensor(intervals)
    floor = tf.constant(SMALLEST_INTERVAL, intervals.dtype)
    return tf.where(intervals > floor, intervals, floor)


def interval_thresholds(
    start: tf.Tensor, intervals: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns the thresholds of the staircase, and the breakpoints of its surrogate.

    Args:
        start: `[1]` or `[]`, of a floating point dtype.
        intervals: `[n]`, of the same dtype.

    Returns:
        The floored intervals a `[n]`; the breakpoints d `[n + 1]` of the piecewise linear
        surrogate, d_0 = start and d_i = start + a_1 + … + a_i; and the thresholds `[n]`,
        d_{i−1} + a_i/2. All are in units of the scaled input x·input_scale.
    """
    floored = floored_intervals(intervals)
    start = tf.reshape(start, [1])
    breakpoints = tf.concat([start, start + tf.cumsum(floored)], 0)
    return floored, breakpoints, breakpoints[:-1] + floored / 2


def learnable_threshold(
    x: tf.Tensor,
    start: tf.Tensor,
    intervals: tf.Tensor,
    input_scale: tf.Tensor,
    output_scale: tf.Tensor,
) -> tf.Tensor:
    """N2UQ's activation function with the generalized straight-through estimator (paper, eq. 6-9).

    Forward: level i where x·input_scale lies above i of the n thresholds (strictly), times 2/n,
    times output_scale. Backward: the gradient of the piecewise linear function that rises by 2/n
    over each interval, which is the expectation of stochastic rounding; an interval at or below
    1e-3 counts as 1e-3 and has no gradient. `output_scale` takes the gradient of the forward
    function. The backward pass keeps `x` and recomputes everything else.

    Both passes are compiled by XLA, once for each number of values and of intervals, which takes
    some tenths of a second the first time.

    Args:
        x: A tensor of any shape, float16, bfloat16, float32 or float64.
        start: `[1]`, where the first interval begins.
        intervals: `[n]`, n = 2**bits − 1 known statically.
        input_scale: `[1]`.
        output_scale: `[1]`. The parameters are float32; sums are taken in float32 (float64 if
            `x` is float64) whatever the dtype of `x`.

    Returns:
        A tensor with the shape and dtype of `x`.

    Raises:
        TypeError: `x` is not of a floating point dtype.
        ValueError: `intervals` is not a vector of 2**bits − 1 values for bits in 1..8.
    """

    def outputs(x: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        return call_traced(_compiled_outputs, [x], parameters)

    return _staircase(x, start, intervals, input_scale, output_scale, outputs)


def learnable_threshold_elementwise(
    x: tf.Tensor,
    start: tf.Tensor,
    intervals: tf.Tensor,
    input_scale: tf.Tensor,
    output_scale: tf.Tensor,
) -> tf.Tensor:
    """Computes the same function and gradient as `learnable_threshold`, without compiling it.

    Inference needs this: TFLite's converter, and a reader of a saved model, can work with a graph
    of a few elementwise operations. In training such a graph is slower.

    Args:
        x: As for `learnable_threshold`.
        start: As for `learnable_threshold`.
        intervals: As for `learnable_threshold`.
        input_scale: As for `learnable_threshold`.
        output_scale: As for `learnable_threshold`.

    Returns:
        A tensor with the shape and dtype of `x`.

    Raises:
        TypeError: As for `learnable_threshold`.
        ValueError: As for `learnable_threshold`.
    """
    return _staircase(x, start, intervals, input_scale, output_scale, _outputs)


def threshold_levels(
    x: tf.Tensor, start: tf.Tensor, intervals: tf.Tensor, input_scale: tf.Tensor
) -> tf.Tensor:
    """The integer levels that `learnable_threshold` multiplies by output_scale·2/n.

    Args:
        x: A tensor of any shape and of a floating point dtype.
        start: `[1]`.
        intervals: `[n]`.
        input_scale: `[1]`.

    Returns:
        int32, shape of `x`, 0..n. No gradient.

    Raises:
        TypeError: As for `learnable_threshold`.
        ValueError: As for `learnable_threshold`.
    """
    x, (start, intervals, input_scale) = _prepare(x, start, intervals, input_scale)
    _, _, thresholds = interval_thresholds(start, intervals)
    scaled = tf.cast(x, thresholds.dtype) * tf.reshape(input_scale, [])
    return count_below(scaled, thresholds)


def _prepare(
    x: tf.Tensor, start: tf.Tensor, intervals: tf.Tensor, *scales: tf.Tensor
) -> tuple[tf.Tensor, list[tf.Tensor]]:
    """Returns the tensor, and the parameters in the dtype to compute with."""
    x = tf.convert_to_tensor(x)
    if not x.dtype.is_floating:
        raise TypeError(f'x: expected a floating point tensor, got {x.dtype.name}; cast it first.')
    intervals = tf.convert_to_tensor(intervals)
    if intervals.shape.rank != 1 or intervals.shape[0] not in [2**b - 1 for b in range(1, 9)]:
        raise ValueError(
            'intervals: expected a vector of 2**bits - 1 values (3 for 2 bits, 7 for 3 bits, ...), '
            f'got shape {intervals.shape}; give one interval per step of the staircase.'
        )
    dtype = tf.float64 if x.dtype == tf.float64 else tf.float32
    return x, [tf.cast(parameter, dtype) for parameter in (start, intervals, *scales)]


def _staircase(
    x: tf.Tensor,
    start: tf.Tensor,
    intervals: tf.Tensor,
    input_scale: tf.Tensor,
    output_scale: tf.Tensor,
    outputs: Callable[..., tf.Tensor],
) -> tf.Tensor:
    """Computes the staircase by `outputs`, a function as `_outputs`, with the gradient of G-STE."""
    x, parameters = _prepare(x, start, intervals, input_scale, output_scale)

    @tf.custom_gradient
    def function(x: tf.Tensor, *parameters: tf.Tensor) -> tuple[tf.Tensor, Any]:
        def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, ...]:
            dx, *of_parameters = call_traced(_gradient, [x, dy], parameters)
            dx.set_shape(x.shape)
            return dx, *of_parameters

        values = outputs(x, *parameters)
        values.set_shape(x.shape)
        return values, gradient

    return function(x, *parameters)


def _outputs(x: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
    return _levels(x, *_levels_of(*parameters))


def _compiled_outputs(x: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
    # The thresholds are not compiled, so that they are the same as at inference, bit by bit.
    return tf.reshape(call_compiled(_levels, [x], _levels_of(*parameters)), tf.shape(x))


def _levels_of(
    start: tf.Tensor, intervals: tf.Tensor, input_scale: tf.Tensor, output_scale: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns the arguments of `_levels` behind the tensor: `[n]`, `[]` and `[]`."""
    _, _, thresholds = interval_thresholds(start, intervals)
    step = tf.reshape(output_scale, []) * (2 / intervals.shape[0])
    return thresholds, tf.reshape(input_scale, []), step


def _levels(
    x: tf.Tensor, thresholds: tf.Tensor, input_scale: tf.Tensor, step: tf.Tensor
) -> tf.Tensor:
    count = count_below(tf.cast(x, thresholds.dtype) * input_scale, thresholds)
    return tf.cast(tf.cast(count, step.dtype) * step, x.dtype)


def _gradient(
    x: tf.Tensor,
    dy: tf.Tensor,
    start: tf.Tensor,
    intervals: tf.Tensor,
    input_scale: tf.Tensor,
    output_scale: tf.Tensor,
) -> tuple[tf.Tensor, ...]:
    """Returns the gradients of `_staircase` with respect to its five arguments."""
    n = intervals.shape[0]
    floored, breakpoints, thresholds = interval_thresholds(start, intervals)
    slopes = tf.reshape(output_scale, []) * (2 / n) / floored
    dx, sums = call_compiled(
        _gradient_and_sums,
        [x, dy],
        [breakpoints, thresholds, slopes, tf.reshape(input_scale, [])],
    )
    above, d_input = sums[0], sums[1]
    weight, moment, upper_half = tf.unstack(tf.reshape(sums[2:], [3, n]))

    per_segment = slopes * weight
    # Widening interval j moves all later segments to the right and flattens its own: the share
    # (z − d_{j−1})/a_j of its values, where z − d_{j−1} = (z − t_j) + a_j/2.
    own = slopes * moment / floored + per_segment / 2
    d_intervals = -(tf.cumsum(per_segment, exclusive=True, reverse=True) + own)
    d_intervals = tf.where(intervals > SMALLEST_INTERVAL, d_intervals, tf.zeros_like(intervals))
    lower_levels = tf.range(n, dtype=intervals.dtype)
    d_output = tf.reduce_sum(lower_levels * weight + upper_half) + n * above
    return (
        tf.reshape(dx, tf.shape(x)),
        tf.reshape(-tf.reduce_sum(per_segment), start.shape),
        d_intervals,
        tf.reshape(d_input, input_scale.shape),
        tf.reshape(d_output * (2 / n), output_scale.shape),
    )


def _gradient_and_sums(
    x: tf.Tensor,
    dy: tf.Tensor,
    breakpoints: tf.Tensor,
    thresholds: tf.Tensor,
    slopes: tf.Tensor,
    input_scale: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the part of `_gradient` that goes through the values: dx, and the sums."""

    def sums(x: tf.Tensor, dy: tf.Tensor) -> tf.Tensor:
        x, dy = tf.cast(x, slopes.dtype), tf.cast(dy, slopes.dtype)
        scaled = x * input_scale
        above = tf.where(scaled > breakpoints[-1], dy, tf.zeros_like(dy))
        rise = dy * slope_at(scaled, breakpoints, slopes)
        totals = [tf.reduce_sum(above), tf.reduce_sum(rise * x)]
        return tf.concat([totals, *segment_sums(scaled, dy, breakpoints, thresholds)], 0)

    slope = slope_at(tf.cast(x, slopes.dtype) * input_scale, breakpoints, slopes)
    dx = tf.cast(tf.cast(dy, slopes.dtype) * slope * input_scale, x.dtype)
    zeros = tf.zeros([2 + 3 * thresholds.shape[0]], slopes.dtype)
    return dx, sum_over_chunks(sums, [x, dy], ROW, zeros)


def kernel_scale(kernel: tf.Tensor, bits: int, channel_axis: int | Sequence[int] = -1) -> tf.Tensor:
    """Returns the scale of a kernel: γ·mean|w| per output channel, γ = (2^b − 1)/2^(b−1).

    Args:
        kernel: A kernel of any rank >= 1 and of a floating point dtype.
        bits: The bit-width, 2..8.
        channel_axis: The axis, or axes, of the output channels: −1 for `[h, w, c, m]` of Conv2D
            and `[c, m]` of Dense, (−2, −1) for `[h, w, c, m]` of DepthwiseConv2D.

    Returns:
        float32, of the rank of `kernel`, with length 1 in every axis that is not a channel axis.

    Raises:
        ValueError: `channel_axis` is not an axis of `kernel`.
    """
    kernel = tf.convert_to_tensor(kernel)
    return _scale(kernel, bits, reduction_axes(kernel.shape, channel_axis))


def _scale(kernel: tf.Tensor, bits: int, axes: Sequence[int]) -> tf.Tensor:
    gamma = (2**bits - 1) / 2 ** (bits - 1)
    return gamma * tf.reduce_mean(tf.abs(tf.cast(kernel, tf.float32)), axes, keepdims=True)


def kernel_integers(
    kernel: tf.Tensor, bits: int, channel_axis: int | Sequence[int] = -1
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the quantized kernel as odd integers and their units, for the export.

    Args:
        kernel: As for `kernel_scale`.
        bits: The bit-width, 2..8.
        channel_axis: As for `kernel_scale`.

    Returns:
        int32 of the kernel's shape, odd integers in −(2^b − 1)..2^b − 1; and float32 units of the
        shape of `kernel_scale`. integers·unit is `entropy_preserving` of the float32 kernel, bit
        by bit. The unit of a channel of zeros is 0.

    Raises:
        ValueError: As for `kernel_scale`.
    """
    integers, unit = _odd_integers(
        kernel, kernel_scale(kernel, bits, channel_axis), 2**bits - 1, bits
    )
    return tf.cast(integers, tf.int32), unit


def entropy_preserving(
    kernel: tf.Tensor, bits: int, channel_axis: int | Sequence[int] = -1
) -> tf.Tensor:
    """Divides a kernel by its scale, clips to ±1, rounds to 2^b levels, and multiplies again.

    The mean of the magnitudes in `kernel_scale` makes every level about equally likely, which
    preserves the most information (paper, section 3.3).

    The gradient is that of the published code: w gets 1/scale times the upstream gradient, also
    where w was clipped, and the scale gets none. In a channel of zeros, where that would be
    infinite, the gradient passes unchanged, and the quantized kernel is zero.

    Args:
        kernel: As for `kernel_scale`.
        bits: The bit-width, 2..8.
        channel_axis: As for `kernel_scale`.

    Returns:
        A tensor with the shape and dtype of `kernel`, computed in float32.

    Raises:
        ValueError: As for `kernel_scale`.
    """
    kernel = tf.convert_to_tensor(kernel)
    axes = reduction_axes(kernel.shape, channel_axis)

    @tf.custom_gradient
    def function(kernel: tf.Tensor) -> tuple[tf.Tensor, Any]:
        # As a constant, the divisor would become a factor that rounds otherwise.
        steps = tf.constant(2**bits - 1, tf.float32)
        quantized, divisor = call_traced(_preserved, [kernel], [steps], bits=bits, axes=tuple(axes))
        quantized.set_shape(kernel.shape)

        def gradient(dy: tf.Tensor) -> tf.Tensor:
            return tf.cast(tf.cast(dy, divisor.dtype) / divisor, dy.dtype)

        return quantized, gradient

    return function(kernel)


def _preserved(
    kernel: tf.Tensor, steps: tf.Tensor, bits: int, axes: tuple[int, ...]
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the quantized kernel and what its gradient is divided by."""
    scale = _scale(kernel, bits, axes)
    integers, unit = _odd_integers(kernel, scale, steps, bits)
    return tf.cast(integers * unit, kernel.dtype), _divisor(scale)


def _divisor(scale: tf.Tensor) -> tf.Tensor:
    return tf.where(scale > _SMALLEST_SCALE, scale, tf.ones_like(scale))


def _odd_integers(
    kernel: tf.Tensor, scale: tf.Tensor, steps: tf.Tensor | int, bits: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the integers 2k − (2^b − 1) as float32, and their unit: the scale / `steps`."""
    n = 2**bits - 1
    unit_range = tf.clip_by_value(tf.cast(kernel, scale.dtype) / _divisor(scale), -1.0, 1.0)
    level = tf.round((unit_range + 1.0) * (n / 2))
    unit = tf.where(scale > _SMALLEST_SCALE, scale / steps, tf.zeros_like(scale))
    return 2.0 * level - n, unit
