"""The factors of a `BorderScale` as an integer constant."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import tensorflow as tf

from tf_n2uq.layers import BorderScale
from tf_n2uq.tflite.network.ranges import Range

# The number of steps from the lowest to the highest value of int8.
_STEPS_OF_INT8 = 255


def multiply_border(layer: BorderScale, inputs: tf.Tensor) -> tf.Tensor:
    """Multiplies each pixel by the factor that a `BorderScale` has for it."""
    return inputs * border_factors(layer)


def border_factors(layer: BorderScale) -> tf.Tensor:
    """Returns the factors of a `BorderScale` as an int8 constant.

    The factors are exact if all of their ratios are whole multiples of 1/n for a number n of at
    most 255. Other factors are rounded to a step of int8.

    Returns:
        float32 `[1, height, width, 1]`, behind a `fake_quant`.
    """
    factors = layer.factors()
    ratios = np.unique(factors / factors.max())
    exact = [Fraction(float(ratio)).limit_denominator(_STEPS_OF_INT8) for ratio in ratios]
    steps = math.lcm(*(ratio.denominator for ratio in exact))
    steps = steps * (_STEPS_OF_INT8 // steps) if steps <= _STEPS_OF_INT8 else _STEPS_OF_INT8
    return Range(float(factors.max()) / steps, -128).quantize(tf.constant(factors))
