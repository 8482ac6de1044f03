"""PACT, the clipped activation quantizer, as N2UQ's published MobileNetV2 uses it.

Choi, Wang, Venkataramani, Chuang, Srinivasan, Gopalakrishnan: "PACT: Parameterized Clipping
Activation for Quantized Neural Networks", 2018, https://arxiv.org/abs/1805.06085.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

# Keeps the division finite if training drives the clipping value to zero or below.
_SMALLEST_CLIP = 1e-6


def pact(x: tf.Tensor, clip_value: tf.Tensor, bits: int) -> tf.Tensor:
    """Clips to 0..clip_value and rounds to 2^b equally spaced levels (paper, eq. 1 and 2).

    The gradient passes where 0 < x < clip_value. The paper gives the clipping value the gradient
    1 where x >= clip_value and 0 below; N2UQ's published code, and this function, add y/clip_value
    everywhere: what the multiplication by the clipping value after rounding contributes. The
    backward pass keeps `x` and nothing else of its size.

    Args:
        x: Any shape, float16, bfloat16, float32 or float64.
        clip_value: `[1]` or `[]`; values below 1e-6 count as 1e-6.
        bits: 2..8.

    Returns:
        Shape and dtype of `x`; computed in float32, or float64 if that is the dtype of `x`.

    Raises:
        TypeError: `x` is not of a floating point dtype.
    """
    x = tf.convert_to_tensor(x)
    if not x.dtype.is_floating:
        raise TypeError(f'x: expected a floating point tensor, got {x.dtype.name}; cast it first.')
    dtype = tf.float64 if x.dtype == tf.float64 else tf.float32
    n = 2**bits - 1

    @tf.custom_gradient
    def function(x: tf.Tensor, clip_value: tf.Tensor) -> tuple[tf.Tensor, Any]:
        clip = tf.maximum(clip_value, tf.constant(_SMALLEST_CLIP, dtype))
        fraction = _rounded(tf.cast(x, dtype), clip, n) / n

        def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            values, upstream = tf.cast(x, dtype), tf.cast(dy, dtype)
            inside = (values > 0) & (values < clip)
            dx = tf.where(inside, upstream, tf.zeros_like(upstream))
            fraction = _rounded(values, clip, n) / n
            above = tf.cast(values >= clip, dtype)
            return tf.cast(dx, x.dtype), tf.reduce_sum(upstream * (fraction + above))

        return tf.cast(fraction * clip, x.dtype), gradient

    return function(x, tf.cast(tf.reshape(clip_value, []), dtype))


def pact_levels(x: tf.Tensor, clip_value: tf.Tensor, bits: int) -> tf.Tensor:
    """The integer levels that `pact` multiplies by clip_value/(2^b − 1).

    Args:
        x: Any shape, float.
        clip_value: `[1]` or `[]`, as for `pact`.
        bits: 2..8.

    Returns:
        int32, shape of `x`, 0..2^b − 1. No gradient.
    """
    x = tf.convert_to_tensor(x)
    dtype = tf.float64 if x.dtype == tf.float64 else tf.float32
    clip = tf.cast(tf.reshape(clip_value, []), dtype)
    clip = tf.maximum(clip, tf.constant(_SMALLEST_CLIP, dtype))
    return tf.cast(_rounded(tf.cast(x, dtype), clip, 2**bits - 1), tf.int32)


def _rounded(values: tf.Tensor, clip: tf.Tensor, n: int) -> tf.Tensor:
    return tf.round(tf.clip_by_value(values, 0, clip) / clip * n)
