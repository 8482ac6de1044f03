"""The rounding of biases to whole numbers, as an integer file rounds them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf
import tf_keras as keras


def add_at_inference(
    outputs: tf.Tensor, training: Any, rounding: Callable[[], tf.Tensor | None]
) -> tf.Tensor:
    """Adds the rounding error of a bias to the output of a layer, except in training.

    Args:
        outputs: the output of the layer, any shape, floating point.
        training: a bool of Python or of a tensor; None stands for Keras' learning phase.
        rounding: computes the rounding error, a tensor that broadcasts to `outputs`; or returns
            None if nothing is rounded.

    Returns:
        A tensor with the shape and dtype of `outputs`.
    """
    if training is None:
        training = keras.backend.learning_phase()
    in_training = tf.get_static_value(tf.cast(training, tf.bool))
    added = None if in_training else rounding()
    if added is None:
        return outputs
    if in_training is None:
        added = tf.where(tf.cast(training, tf.bool), tf.zeros_like(added), added)
    return outputs + tf.cast(added, outputs.dtype)


def bias_rounding(bias: tf.Tensor, unit: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """Returns the rounding error of a bias: the rounded bias minus the exact bias.

    The bias of an integer layer is an integer in units of input scale times kernel scale. With few
    levels this unit is so coarse that predictions depend on the rounding. So the Keras network has
    to round too, if it is to predict what its integer file predicts.

    Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", CVPR 2018, section 2.4.

    Args:
        bias: float64, `[channels]` or `[]`.
        unit: the value of one integer of the kernel, float64 `[channels]` or `[1]`. Where the unit
            is not positive, the bias is not rounded.
        scale: the factor of all units, float64 `[]`.

    Returns:
        float64 `[channels]`, without a gradient. The error is 0 where the bias is not finite.
    """
    usable = (unit > 0) & tf.math.is_finite(bias)
    grid = tf.where(usable, unit, tf.ones_like(unit)) * scale
    rounded = tf.where(usable, grid * tf.round(bias / grid), bias)
    return tf.stop_gradient(tf.where(usable, rounded - bias, tf.zeros_like(bias)))
