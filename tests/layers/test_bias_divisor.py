"""A rescaled dense layer divides its bias at inference, where nothing reads its outputs."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tf_n2uq import SATQuantizeConfig
from tf_n2uq.layers import Quantize, QuantizedKernel
from tf_n2uq.quantizers import RangeQuantizer

X = np.random.default_rng(0).normal(size=[6, 5]).astype(np.float32)


def dense(**arguments):
    config = SATQuantizeConfig(4, rescale='constant')
    bias = keras.initializers.RandomNormal(seed=1)
    wrapper = QuantizedKernel(keras.layers.Dense(3, bias_initializer=bias), config, **arguments)
    wrapper.build((None, 5))
    return wrapper


def ratio(layer, call=None):
    """What outputs at inference are of those in training, and whether all alike."""
    call = call or layer
    trained, predicted = (call(X, training=mode).numpy() for mode in (True, False))
    return np.median(predicted / trained), np.ptp(predicted / trained)


def test_the_last_layer_gives_outputs_that_are_not_rescaled():
    layer = dense()
    factor, spread = ratio(layer)
    np.testing.assert_allclose(factor, 1 / layer.bias_divisor(), rtol=1e-5)
    assert spread < 1e-4


@pytest.mark.parametrize('training', [True, False])
def test_training_may_be_a_tensor(training):
    layer = dense()
    run = tf.function(lambda mode: layer(X, training=mode))
    np.testing.assert_allclose(
        run(tf.constant(training)), layer(X, training=training), rtol=1e-5, atol=1e-6
    )


def test_a_layer_without_bias_is_divided_too():
    wrapper = QuantizedKernel(keras.layers.Dense(3, use_bias=False), SATQuantizeConfig(4))
    wrapper.build((None, 5))
    np.testing.assert_allclose(ratio(wrapper)[0], 1 / wrapper.bias_divisor(), rtol=1e-5)


@pytest.mark.parametrize(
    ('behind', 'divided'),
    [
        ([], True),
        ([Quantize(RangeQuantizer())], True),
        ([keras.layers.ReLU()], False),
        ([Quantize(RangeQuantizer()), keras.layers.ReLU()], False),
    ],
)
def test_what_reads_the_outputs_gets_those_of_training(behind, divided):
    layer = dense()
    inputs = keras.Input([5])
    outputs = layer(inputs)
    for other in behind:
        outputs = type(other).from_config(other.get_config())(outputs)
    assert (layer.bias_divisor() is not None) == divided
    if not divided:
        np.testing.assert_allclose(ratio(layer)[0], 1, rtol=1e-5)


def test_integer_networks_and_other_methods_divide_nothing():
    assert dense(integer_bias=True).bias_divisor() is None
    for layer, config in (
        (keras.layers.Dense(3), SATQuantizeConfig(4, rescale=None)),
        (keras.layers.Dense(3), SATQuantizeConfig(8)),
        (keras.layers.Conv1D(3, 2), SATQuantizeConfig(4)),
    ):
        wrapper = QuantizedKernel(layer, config)
        wrapper.build((None, 4, 5))
        assert wrapper.bias_divisor() is None
