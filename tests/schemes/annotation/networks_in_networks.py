"""Models inside models, and how to tell that two networks compute the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

_layers = keras.layers


def transfer_learning() -> keras.Model:
    """A model in a model in a model; the innermost is in inference mode."""
    base = keras.Sequential(
        [
            _layers.Conv2D(4, 3, name='convolution', input_shape=(8, 8, 3)),
            _layers.BatchNormalization(name='normalization'),
            _layers.ReLU(name='relu'),
        ],
        name='base',
    )
    image = keras.Input((8, 8, 3))
    x = base(image, training=False)
    x = _layers.Conv2D(4, 3, name='convolution')(x)
    outer = keras.Model(image, _layers.GlobalAveragePooling2D(name='pooling')(x), name='outer')
    return keras.Sequential([outer, _layers.Dense(3, name='head')])


class Subclassed(keras.Model):
    """A model that no graph can be read from."""

    def call(self, inputs: Any) -> Any:
        return inputs


def names_of(model: keras.Model) -> list[str]:
    """Names of the layers without their annotations."""
    return [getattr(layer, 'layer', layer).name for layer in model.layers if not _is_input(layer)]


def _is_input(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, _layers.InputLayer)


def normal(*shape: int, count: int = 4) -> np.ndarray:
    """Normally distributed float32 values `[count, *shape]`."""
    return np.random.default_rng(0).normal(size=(count, *shape)).astype(np.float32)


def assert_same_outputs(
    expected: keras.Model, model: keras.Model, inputs: Any, rtol: float = 0.0
) -> None:
    """Asserts that two models return the same nest of equal values."""
    results = expected(inputs), model(inputs)
    tf.nest.assert_same_structure(*results)
    for a, b in zip(*map(tf.nest.flatten, results), strict=True):
        np.testing.assert_allclose(b, a, rtol=rtol, atol=rtol)
