"""A quantized network of two inputs and two outputs, and its file."""

from __future__ import annotations

import numpy as np
import pytest
import tf_keras as keras

import tf_n2uq
from tests.networks import quantize


def network(as_outputs=list) -> keras.Model:
    """Returns a network whose inputs have one shape and are not in the order of their names."""
    keras.utils.set_random_seed(0)
    ends = [keras.Input((4,), name=name) for name in ('z', 'a')]
    x = keras.layers.Concatenate()([keras.layers.Dense(4, 'relu')(end) for end in ends])
    heads = [
        keras.layers.Dense(3, 'softmax', name='label')(x),
        keras.layers.Dense(2, name='size')(x),
    ]
    model = quantize(keras.Model(ends, as_outputs(heads)), bits=4)
    tf_n2uq.calibrate(model, inputs(), verbose=0)
    return model


def inputs() -> dict[str, np.ndarray]:
    """Returns nine examples of both inputs by name."""
    rng = np.random.default_rng(0)
    return {name: rng.random((9, 4)).astype(np.float32) for name in ('z', 'a')}


@pytest.fixture(scope='session')
def two_ends() -> tuple[keras.Model, bytes, dict[str, np.ndarray]]:
    """The quantized network, its file, and nine examples."""
    model = network()
    return model, tf_n2uq.tflite.convert(model), inputs()


@pytest.fixture(scope='session')
def two_named_ends() -> tuple[keras.Model, bytes, dict[str, np.ndarray]]:
    """The same with a dictionary of outputs."""
    model = network(lambda heads: {'second': heads[0], 'first': heads[1]})
    return model, tf_n2uq.tflite.convert(model), inputs()
