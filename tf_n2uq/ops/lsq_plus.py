"""LSQ+: uniform quantization with a learned step and a learned offset.

Bhalgat, Lee, Nagel, Blankevoort, Kwak: "LSQ+: Improving low-bit quantization through learnable
offsets and better initialization", CVPR Workshops 2020, https://arxiv.org/abs/2004.09576.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tf_n2uq.ops.compiled import call_compiled
from tf_n2uq.ops.lsq import SMALLEST_STEP, lsq_levels
from tf_n2uq.ops.totals import totals


def lsq_plus(x: tf.Tensor, step: tf.Tensor, offset: tf.Tensor, bits: int) -> tf.Tensor:
    """Rounds to 2^b levels that begin at an offset and are one step apart.

    The paper's function is x̂ = round(clip((x − β)/s, 0, p))·s + β with the step s, the offset β
    and p = 2^b − 1 (section 3.1). An integer file pads with zeros, so that zero has to be a level.
    The offset therefore acts as the whole number of steps z = round(β/s), limited to −p..0: the
    levels are s·z, s·(z + 1), ..., s·(z + p).

    The gradients are the paper's. Rounding the offset counts as the identity (straight-through).
    With v = x/s − z, and times the upstream gradient:

    - x gets 1 where 0 < v < p, and 0 elsewhere.
    - s gets round(v) − v where 0 < v < p, 0 below that range, and p above it; summed up over `x`.
    - β gets 0 where 0 < v < p, and 1 elsewhere; summed up over `x`. It gets 0 where β/s lies
      outside of −p..0 and the gradient would lead it further away.

    The gradients of s and β are multiplied by LSQ's 1/√(N·p), N the number of values of `x`.

    The backward pass keeps `x` and nothing else of its size, and is compiled by XLA.

    Args:
        x: A tensor of any shape, float16, bfloat16, float32 or float64.
        step: s, `[1]` or `[]`, in units of `x`; values below 1e-8 count as 1e-8.
        offset: β, `[1]` or `[]`, in units of `x`.
        bits: The bit-width b, 2..8.

    Returns:
        A tensor with the shape and dtype of `x`, computed in float32, or in float64 if that is the
        dtype of `x`.

    Raises:
        TypeError: `x` is not of a floating point dtype.
    """
    x = tf.convert_to_tensor(x)
    if not x.dtype.is_floating:
        raise TypeError(f'x: expected a floating point tensor, got {x.dtype.name}; cast it first.')
    dtype = tf.float64 if x.dtype == tf.float64 else tf.float32
    highest = tf.constant(2**bits - 1, dtype)

    @tf.custom_gradient
    def function(x: tf.Tensor, step: tf.Tensor, offset: tf.Tensor) -> tuple[tf.Tensor, Any]:
        step = tf.maximum(step, tf.constant(SMALLEST_STEP, dtype))
        lowest = lsq_plus_lowest(step, offset, bits)
        levels = tf.round(tf.clip_by_value(tf.cast(x, dtype) / step, lowest, lowest + highest))

        def backward(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            dx, d_step, d_offset = call_compiled(_gradients, [x, dy], [step, lowest, highest])
            size = tf.cast(tf.maximum(tf.size(x), 1), dtype)
            scale = tf.math.rsqrt(size * highest)
            dx = tf.ensure_shape(tf.reshape(dx, tf.shape(x)), x.shape)
            return dx, d_step * scale, _into_limits(d_offset * scale, offset / step, -highest)

        return tf.cast(levels * step, x.dtype), backward

    return function(x, _scalar(step, dtype), _scalar(offset, dtype))


def lsq_plus_levels(x: tf.Tensor, step: tf.Tensor, offset: tf.Tensor, bits: int) -> tf.Tensor:
    """Returns the integer levels that `lsq_plus` multiplies by its step.

    Args:
        x: As for `lsq_plus`.
        step: As for `lsq_plus`.
        offset: As for `lsq_plus`.
        bits: As for `lsq_plus`.

    Returns:
        int32 of the shape of `x`, from `lsq_plus_lowest` to 2^b − 1 above it. It has no gradient.
    """
    lowest = lsq_plus_lowest(step, offset, bits)
    return lsq_levels(x, step, lowest, lowest + (2**bits - 1))


def lsq_plus_lowest(step: tf.Tensor, offset: tf.Tensor, bits: int) -> tf.Tensor:
    """Returns the lowest level of `lsq_plus`: the offset as a whole number of steps.

    Args:
        step: As for `lsq_plus`.
        offset: As for `lsq_plus`, of the same dtype.
        bits: As for `lsq_plus`.

    Returns:
        A whole number in −(2^b − 1)..0 as a float `[]`, dtype of `offset`. It has no gradient.
    """
    offset = tf.reshape(tf.convert_to_tensor(offset), [])
    step = tf.maximum(tf.reshape(tf.convert_to_tensor(step), []), SMALLEST_STEP)
    whole = tf.round(tf.clip_by_value(offset / step, -(2.0**bits - 1.0), 0.0))
    return tf.stop_gradient(whole)


def _scalar(value: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    return tf.cast(tf.reshape(value, []), dtype)


def _gradients(
    x: tf.Tensor, dy: tf.Tensor, step: tf.Tensor, lowest: tf.Tensor, highest: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Returns the gradients of the tensor, the step and the offset, the last two not scaled."""

    def inside(v: tf.Tensor) -> tf.Tensor:
        return (v > 0) & (v < highest)

    def of_step(x: tf.Tensor, dy: tf.Tensor) -> tf.Tensor:
        v = tf.cast(x, step.dtype) / step - lowest
        slope = tf.where(inside(v), tf.round(v) - v, tf.clip_by_value(v, 0, highest))
        return tf.cast(dy, step.dtype) * slope

    def of_offset(x: tf.Tensor, dy: tf.Tensor) -> tf.Tensor:
        v = tf.cast(x, step.dtype) / step - lowest
        upstream = tf.cast(dy, step.dtype)
        return tf.where(inside(v), tf.zeros_like(upstream), upstream)

    v = tf.cast(x, step.dtype) / step - lowest
    dx = tf.where(inside(v), dy, tf.zeros_like(dy))
    d_step, d_offset = totals([of_step, of_offset], [x, dy], step.dtype)
    return dx, d_step, d_offset


def _into_limits(gradient: tf.Tensor, steps: tf.Tensor, least: tf.Tensor) -> tf.Tensor:
    """Removes a gradient that would lead an offset further out of `least`..0, in steps."""
    # Descent moves the offset against the sign of its gradient.
    away = ((steps > 0) & (gradient < 0)) | ((steps < least) & (gradient > 0))
    return tf.where(away, tf.zeros_like(gradient), gradient)
