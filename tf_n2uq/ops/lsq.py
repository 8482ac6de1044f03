"""LSQ: uniform quantization with a learned step.

Esser, McKinstry, Bablani, Appuswamy, Modha: "Learned Step Size Quantization", ICLR 2020,
https://arxiv.org/abs/1902.08153.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tf_n2uq.ops.compiled import call_compiled
from tf_n2uq.ops.totals import totals

# Keeps the division finite if training drives the step to zero or below.
SMALLEST_STEP = 1e-8


def lsq(x: tf.Tensor, step: tf.Tensor, lowest: tf.Tensor, highest: tf.Tensor) -> tf.Tensor:
    """Rounds to multiples of a step, from `lowest` to `highest` of them (paper, eq. 1 and 2).

    With v = x/step, the output is round(clip(v, lowest, highest))·step.

    The gradient passes to x where lowest < v < highest (eq. 5). The step gets the sum of the
    upstream gradient times round(v) − v there, times `lowest` below and `highest` above (eq. 3).
    That sum is multiplied by 1/√(N·highest), N the number of values of `x` (section 2.2).

    The backward pass keeps `x` and nothing else of its size, and is compiled by XLA.

    Args:
        x: A tensor of any shape, float16, bfloat16, float32 or float64.
        step: `[1]` or `[]`, in units of `x`; values below 1e-8 count as 1e-8.
        lowest: A whole number <= 0: −Q_N of the paper; a number, `[1]` or `[]`.
        highest: A whole number > 0: Q_P of the paper; likewise.

    Returns:
        A tensor with the shape and dtype of `x`, computed in float32, or in float64 if that is the
        dtype of `x`.

    Raises:
        TypeError: `x` is not of a floating point dtype.
    """
    x = tf.convert_to_tensor(x)
    if not x.dtype.is_floating:
        raise TypeError(f'x: expected a floating point tensor, got {x.dtype.name}; cast it first.')
    low, high = _scalar(lowest, x.dtype), _scalar(highest, x.dtype)

    @tf.custom_gradient
    def function(x: tf.Tensor, step: tf.Tensor) -> tuple[tf.Tensor, Any]:
        step = tf.maximum(step, tf.constant(SMALLEST_STEP, step.dtype))

        def backward(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            dx, weighted = call_compiled(_gradients, [x, dy], [step, low, high])
            size = tf.cast(tf.maximum(tf.size(x), 1), step.dtype)
            d_step = weighted * tf.math.rsqrt(size * high)
            return tf.ensure_shape(tf.reshape(dx, tf.shape(x)), x.shape), d_step

        return tf.cast(_rounded(x, step, low, high) * step, x.dtype), backward

    return function(x, _scalar(step, x.dtype))


def lsq_levels(x: tf.Tensor, step: tf.Tensor, lowest: tf.Tensor, highest: tf.Tensor) -> tf.Tensor:
    """Returns the integer levels that `lsq` multiplies by its step.

    Args:
        x: As for `lsq`.
        step: As for `lsq`.
        lowest: As for `lsq`.
        highest: As for `lsq`.

    Returns:
        int32, of the shape of `x`, `lowest` to `highest`. It has no gradient.
    """
    x = tf.convert_to_tensor(x)
    step, low, high = (_scalar(value, x.dtype) for value in (step, lowest, highest))
    step = tf.maximum(step, tf.constant(SMALLEST_STEP, step.dtype))
    return tf.cast(_rounded(x, step, low, high), tf.int32)


def _scalar(value: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    computed = tf.float64 if dtype == tf.float64 else tf.float32
    return tf.cast(tf.reshape(value, []), computed)


def _rounded(x: tf.Tensor, step: tf.Tensor, low: tf.Tensor, high: tf.Tensor) -> tf.Tensor:
    return tf.round(tf.clip_by_value(tf.cast(x, step.dtype) / step, low, high))


def _gradients(
    x: tf.Tensor, dy: tf.Tensor, step: tf.Tensor, low: tf.Tensor, high: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    def weighted(x: tf.Tensor, dy: tf.Tensor) -> tf.Tensor:
        v = tf.cast(x, step.dtype) / step
        clipped = tf.clip_by_value(v, low, high)
        inside = (v > low) & (v < high)
        weight = tf.where(inside, tf.round(v) - v, clipped)
        return tf.cast(dy, step.dtype) * weight

    v = tf.cast(x, step.dtype) / step
    dx = tf.where((v > low) & (v < high), dy, tf.zeros_like(dy))
    (d_step,) = totals([weighted], [x, dy], step.dtype)
    return dx, d_step
