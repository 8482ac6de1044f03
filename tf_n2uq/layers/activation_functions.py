"""Activation functions of Keras 3 that tf_keras lacks, or has by the same name for another one.

tf_keras finds them by the names `tf_n2uq>…`, so that saved models load. Each function maps each
number by itself: input and output have the same shape and the same floating dtype.

Source: the backend for TensorFlow of Keras 3.15, whose functions have the same names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import tensorflow as tf
import tf_keras as keras

from tf_n2uq._compat.keras_saving import save_by_name

_Function = TypeVar('_Function', bound=Callable[[tf.Tensor], tf.Tensor])


def _register(function: _Function) -> _Function:
    name = f'tf_n2uq>{function.__name__}'
    save_by_name(function, name)
    return keras.saving.register_keras_serializable(package='tf_n2uq')(function)


# tf_keras' own `hard_sigmoid` is max(0, min(1, 0.2·x + 0.5)), which differs by up to 0.067.
@_register
def keras3_hard_sigmoid(x: tf.Tensor) -> tf.Tensor:
    """Computes `relu6(x + 3) / 6`, which Keras 3 calls `hard_sigmoid`."""
    return tf.nn.relu6(x + 3.0) * (1.0 / 6.0)


@_register
def keras3_hard_silu(x: tf.Tensor) -> tf.Tensor:
    """Computes `x · relu6(x + 3) / 6`; Keras 3 also calls it `hard_swish`."""
    return x * keras3_hard_sigmoid(x)


@_register
def keras3_hard_tanh(x: tf.Tensor) -> tf.Tensor:
    """Computes `max(-1, min(1, x))`."""
    return tf.clip_by_value(x, -1.0, 1.0)


@_register
def keras3_celu(x: tf.Tensor) -> tf.Tensor:
    """Computes `max(0, x) + exp(min(0, x)) - 1`."""
    return tf.maximum(x, 0.0) + tf.math.expm1(tf.minimum(x, 0.0))


@_register
def keras3_squareplus(x: tf.Tensor) -> tf.Tensor:
    """Computes `(x + sqrt(x² + 4)) / 2`."""
    return 0.5 * (x + tf.sqrt(tf.square(x) + 4.0))


@_register
def keras3_log_sigmoid(x: tf.Tensor) -> tf.Tensor:
    """Computes `log(1 / (1 + exp(-x)))`."""
    return tf.math.log_sigmoid(x)


@_register
def keras3_tanh_shrink(x: tf.Tensor) -> tf.Tensor:
    """Computes `x - tanh(x)`."""
    return x - tf.tanh(x)


@_register
def keras3_soft_shrink(x: tf.Tensor) -> tf.Tensor:
    """Computes `x - 0.5` above 0.5, `x + 0.5` below -0.5, and 0 between."""
    return tf.nn.relu(x - 0.5) - tf.nn.relu(-0.5 - x)


@_register
def keras3_hard_shrink(x: tf.Tensor) -> tf.Tensor:
    """Computes `x` where `abs(x) > 0.5`, and 0 elsewhere."""
    return tf.where(tf.abs(x) > 0.5, x, tf.zeros_like(x))


@_register
def keras3_sparse_plus(x: tf.Tensor) -> tf.Tensor:
    """Computes 0 up to -1, `(x + 1)² / 4` up to 1, and `x` above."""
    return tf.where(x < 1.0, 0.25 * tf.square(tf.nn.relu(x + 1.0)), x)


@_register
def keras3_sparse_sigmoid(x: tf.Tensor) -> tf.Tensor:
    """Computes `max(0, min(1, (x + 1) / 2))`."""
    return tf.clip_by_value(0.5 * (x + 1.0), 0.0, 1.0)


@_register
def keras3_gelu_tanh(x: tf.Tensor) -> tf.Tensor:
    """Computes GELU's approximation by tanh, which is the default of `keras.ops.gelu`."""
    return tf.nn.gelu(x, approximate=True)
