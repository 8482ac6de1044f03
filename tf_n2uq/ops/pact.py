"""PACT, the clipped activation quantizer, with the three gradients published for it.

Choi, Wang, Venkataramani, Chuang, Srinivasan, Gopalakrishnan: "PACT: Parameterized Clipping
Activation for Quantized Neural Networks", 2018, https://arxiv.org/abs/1805.06085.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tf_n2uq.ops.compiled import call_compiled
from tf_n2uq.ops.totals import totals

# Keeps the division finite if training drives the clipping value to zero or below.
SMALLEST_CLIP = 1e-6


def pact(
    x: tf.Tensor, clip_value: tf.Tensor, bits: int, gradient: str = 'published_n2uq'
) -> tf.Tensor:
    """Clips to 0..clip_value and rounds to 2^b equally spaced levels (paper, eq. 1 and 2).

    The gradient passes to x where 0 < x < clip_value. The clipping value gets, times the upstream
    gradient, and summed up:

    - `paper` (eq. 3): 1 where x >= clip_value, else 0.
    - `calibrated` (SAT; Jin, Yang, Liao: "Towards Efficient Training for Neural Network
      Quantization", 2019, https://arxiv.org/abs/1912.10207): also the quantization error
      (y − x)/clip_value between 0 and clip_value.
    - `published_n2uq` (N2UQ's published code): y/clip_value everywhere, which is what the
      multiplication after rounding contributes, and 1 more where x >= clip_value.

    The backward pass keeps `x` and nothing else of its size, and is compiled by XLA.

    Args:
        x: A tensor of any shape, float16, bfloat16, float32 or float64.
        clip_value: `[1]` or `[]`; values below 1e-6 count as 1e-6.
        bits: The bit-width, 2..8.
        gradient: One of the names above.

    Returns:
        A tensor with the shape and dtype of `x`, computed in float32, or in float64 if that is the
        dtype of `x`.

    Raises:
        TypeError: `x` is not of a floating point dtype.
        ValueError: There is no such gradient.
    """
    x = tf.convert_to_tensor(x)
    if not x.dtype.is_floating:
        raise TypeError(f'x: expected a floating point tensor, got {x.dtype.name}; cast it first.')
    compiled = _GRADIENTS[check_gradient(gradient)]
    dtype = tf.float64 if x.dtype == tf.float64 else tf.float32
    n = 2**bits - 1

    @tf.custom_gradient
    def function(x: tf.Tensor, clip_value: tf.Tensor) -> tuple[tf.Tensor, Any]:
        clip = tf.maximum(clip_value, tf.constant(SMALLEST_CLIP, dtype))
        fraction = _rounded(tf.cast(x, dtype), clip, n) / n

        def backward(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            dx, d_clip = call_compiled(compiled, [x, dy], [clip, tf.constant(n, dtype)])
            return tf.ensure_shape(tf.reshape(dx, tf.shape(x)), x.shape), d_clip

        return tf.cast(fraction * clip, x.dtype), backward

    return function(x, tf.cast(tf.reshape(clip_value, []), dtype))


def pact_levels(x: tf.Tensor, clip_value: tf.Tensor, bits: int) -> tf.Tensor:
    """Returns the integer levels that `pact` multiplies by clip_value/(2^b − 1).

    Args:
        x: A tensor of any shape and of a floating point dtype.
        clip_value: `[1]` or `[]`, as for `pact`.
        bits: The bit-width, 2..8.

    Returns:
        int32, of the shape of `x`, 0..2^b − 1. It has no gradient.
    """
    x = tf.convert_to_tensor(x)
    dtype = tf.float64 if x.dtype == tf.float64 else tf.float32
    clip = tf.cast(tf.reshape(clip_value, []), dtype)
    clip = tf.maximum(clip, tf.constant(SMALLEST_CLIP, dtype))
    return tf.cast(_rounded(tf.cast(x, dtype), clip, 2**bits - 1), tf.int32)


def check_gradient(gradient: str) -> str:
    """Returns the name of a gradient of the clipping value, or says which there are.

    Args:
        gradient: The name that a user gave.

    Raises:
        ValueError: There is no such gradient.
    """
    if gradient not in _GRADIENTS:
        raise ValueError(
            f'gradient: expected one of {", ".join(map(repr, _GRADIENTS))}, got {gradient!r}; '
            'choose one of these.'
        )
    return gradient


def _rounded(values: tf.Tensor, clip: tf.Tensor, n: int | tf.Tensor) -> tf.Tensor:
    return tf.round(tf.clip_by_value(values, 0, clip) / clip * n)


def _paper(values: tf.Tensor, clip: tf.Tensor, n: tf.Tensor) -> tf.Tensor:
    del n
    return tf.cast(values >= clip, values.dtype)


def _calibrated(values: tf.Tensor, clip: tf.Tensor, n: tf.Tensor) -> tf.Tensor:
    clipped = tf.clip_by_value(values, 0, clip)
    return _paper(values, clip, n) + _rounded(values, clip, n) / n - clipped / clip


def _published_n2uq(values: tf.Tensor, clip: tf.Tensor, n: tf.Tensor) -> tf.Tensor:
    return _paper(values, clip, n) + _rounded(values, clip, n) / n


def _backward_by(weight: Callable[..., tf.Tensor]) -> Callable[..., tuple[tf.Tensor, tf.Tensor]]:
    """Returns the function of both gradients, that of the clipping value by its weights."""

    def backward(
        x: tf.Tensor, dy: tf.Tensor, clip: tf.Tensor, n: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        def weighted(x: tf.Tensor, dy: tf.Tensor) -> tf.Tensor:
            return tf.cast(dy, clip.dtype) * weight(tf.cast(x, clip.dtype), clip, n)

        values = tf.cast(x, clip.dtype)
        inside = (values > 0) & (values < clip)
        (d_clip,) = totals([weighted], [x, dy], clip.dtype)
        return tf.where(inside, dy, tf.zeros_like(dy)), d_clip

    return backward


# Made once: compiled functions are kept by what they were compiled from.
_GRADIENTS = {
    'paper': _backward_by(_paper),
    'calibrated': _backward_by(_calibrated),
    'published_n2uq': _backward_by(_published_n2uq),
}
