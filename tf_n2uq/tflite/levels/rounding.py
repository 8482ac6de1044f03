"""What integer kernels may give, however they round.

XNNPACK and the kernels of TFLite compute the same numbers, but they round them in different ways. A
plan that has to be exact in all of them must not depend on a number that they round differently. So
each function here gives one bound of the results: the least one, the greatest one, or, between
them, the result of exact arithmetic with halves rounded up.
"""

import enum

import numpy as np

from tf_n2uq.tflite.levels.comparators import HIGHEST, LOWEST

# A LEAKY_RELU multiplies by whole parts of 1/256.
MULTIPLIER_ONE = 256
# The factors of a subtraction are rounded to 2^-21 of the larger one, before they multiply numbers
# of up to 255. The quotients of scales have a relative error of 2^-23.
_LEAST_MARGIN, _MARGIN_PER_GAIN = 0.001, 0.0005
# The distance to a half below which a product may be rounded either way.
_TIE = 0.001


class Bound(enum.IntEnum):
    """Which one of the possible results is meant."""

    LEAST = -1
    IDEAL = 0
    GREATEST = 1


def subtracted(
    values: np.ndarray, gain: np.ndarray | float, offset: np.ndarray | float, bound: Bound
) -> np.ndarray:
    """Returns what a subtraction of one number from a tensor, or of a tensor from it, gives.

    Args:
        values: Integers in -128..127, of any shape.
        gain: The factor of the values, not 0. It broadcasts against them, like the offset.
        offset: The int8 value that belongs to the value 0.
        bound: Which result.

    Returns:
        float64 integers in -128..127.
    """
    margin = bound * (_LEAST_MARGIN + _MARGIN_PER_GAIN * np.abs(gain))
    return np.clip(np.floor(gain * values + (offset + (0.5 + margin))), LOWEST, HIGHEST)


def bent(
    values: np.ndarray, below: np.ndarray | int, above: np.ndarray | int, bound: Bound
) -> np.ndarray:
    """Returns what a leaky ReLU gives, before the zero point is added and the sum saturates.

    Args:
        values: Integers in -255..255, of any shape: the distances from the zero point.
        below: The multiplier of negative values, in parts of 1/256, not 0. It broadcasts against
            the values, like the other one.
        above: The multiplier of the other values, likewise, >= 1.
        bound: Which result.

    Returns:
        float64 integers.
    """
    multiplier = np.where(values < 0, below, above) / MULTIPLIER_ONE
    products = values * multiplier
    ideal = np.floor(products + 0.5)
    if bound == Bound.IDEAL:
        return ideal
    # TFLite first rounds the product with a multiplier in 1/2..1, then halves as often as needed.
    halvings = np.maximum(0, -np.frexp(multiplier)[1])
    wholes = np.exp2(halvings)
    first = np.floor(products * wholes + (0.5 + bound * _TIE))
    twice = np.sign(first) * np.floor(np.abs(first) / wholes + 0.5)
    return np.minimum(ideal, twice) if bound == Bound.LEAST else np.maximum(ideal, twice)
