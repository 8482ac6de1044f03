"""Equally spaced levels of the interval from 0 to 1: the four schemes of AdaBits.

Jin, Yang, Liao: "AdaBits: Neural Network Quantization with Adaptive Bit-Widths", CVPR 2020,
https://arxiv.org/abs/1912.09666; `original` is DoReFa-Net's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf


@dataclasses.dataclass(frozen=True)
class UnitLevels:
    """A scheme of levels: x in 0..1 has the level k, whose value is (k + offset)/parts.

    Attributes:
        level: The function of x in 0..1 and the bits that returns k as a float, 0..2^b − 1.
        parts: The function of the bits that returns the width of the interval in steps.
        offset: The value of level 0, in steps.
        signed: Whether a value q stands for 2q − 1, as the values of a kernel do.
    """

    level: Callable[[tf.Tensor, int], tf.Tensor]
    parts: Callable[[int], int]
    offset: float
    signed: bool


def _nearest(x: tf.Tensor, bits: int) -> tf.Tensor:
    return tf.round(x * (2**bits - 1))


def _floored(x: tf.Tensor, bits: int) -> tf.Tensor:
    return tf.minimum(tf.floor(x * 2**bits), 2**bits - 1)


UNIT_LEVELS: dict[str, UnitLevels] = {
    'original': UnitLevels(_nearest, lambda bits: 2**bits - 1, 0.0, True),
    'modified': UnitLevels(_floored, lambda bits: 2**bits, 0.0, True),
    'centered_symmetric': UnitLevels(_floored, lambda bits: 2**bits, 0.5, True),
    'centered_asymmetric': UnitLevels(_floored, lambda bits: 2**bits, 0.5, False),
}

KERNEL_LEVELS: tuple[str, ...] = tuple(name for name, each in UNIT_LEVELS.items() if each.signed)
"""The names of the level schemes that kernels may have."""


def unit_levels(levels: str) -> UnitLevels:
    """Returns the level scheme of a name.

    Args:
        levels: 'original' for round(x(2^b − 1))/(2^b − 1). 'modified' for
            min(floor(2^b x), 2^b − 1)/2^b. 'centered_symmetric' for half a step above that, for
            kernels. 'centered_asymmetric' for the same, for tensors in 0..1.

    Raises:
        ValueError: There is no such scheme.
    """
    if levels not in UNIT_LEVELS:
        raise ValueError(
            f'levels: expected one of {", ".join(map(repr, UNIT_LEVELS))}, got {levels!r}; choose '
            'one of these.'
        )
    return UNIT_LEVELS[levels]


def quantize_unit(x: tf.Tensor, bits: int, levels: str) -> tf.Tensor:
    """Rounds a tensor, clipped to 0..1, to the levels of a scheme.

    The gradient is straight-through: it passes where 0 <= x <= 1, and is zero elsewhere.

    Args:
        x: A tensor of any shape and of a floating point dtype.
        bits: The bit-width, 2..8.
        levels: As for `unit_levels`.

    Returns:
        A tensor with the shape and dtype of `x` and values in 0..1, computed in float32, or in
        float64 if that is the dtype of `x`.

    Raises:
        TypeError: `x` is not of a floating point dtype.
        ValueError: As `unit_levels`.
    """
    x = tf.convert_to_tensor(x)
    if not x.dtype.is_floating:
        raise TypeError(f'x: expected a floating point tensor, got {x.dtype.name}; cast it first.')
    scheme = unit_levels(levels)
    dtype = tf.float64 if x.dtype == tf.float64 else tf.float32

    @tf.custom_gradient
    def function(x: tf.Tensor) -> tuple[tf.Tensor, Any]:
        values = tf.clip_by_value(tf.cast(x, dtype), 0, 1)
        quantized = (scheme.level(values, bits) + scheme.offset) / scheme.parts(bits)

        def gradient(dy: tf.Tensor) -> tf.Tensor:
            return tf.where((x >= 0) & (x <= 1), dy, tf.zeros_like(dy))

        return tf.cast(quantized, x.dtype), gradient

    return function(x)
