"""Files that are optimized for latency and for size give the same integers, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tests.networks import NETWORKS, annotate, float_network, images_for
from tf_n2uq.tflite.passes import narrowing

SCHEMES = {method.name: method.scheme for method in tf_n2uq.methods()}
_layers = keras.layers


@pytest.fixture(autouse=True)
def _narrow_all_kernels(monkeypatch):
    """Lets the kernels of small networks be narrow."""
    monkeypatch.setattr(narrowing, '_BYTES_OF_OPERATOR', -1000)


def _all_kinds():
    """Convolutions of all kinds, with their strides, groups and dilations, and dense layers."""
    image = keras.Input((9, 9, 3))
    x = _layers.Conv2D(8, 3, padding='same', activation='relu')(image)
    x = _layers.Conv2D(12, 3, strides=2, padding='same', activation='relu')(x)
    x = _layers.Conv2D(12, 3, groups=3, padding='same', activation='relu')(x)
    y = _layers.Conv2D(10, (1, 3), dilation_rate=(1, 2), padding='same')(x)
    x = _layers.DepthwiseConv2D((3, 2), padding='same', activation='relu')(x)
    x = _layers.Conv2D(10, 1, name='pointwise')(x)
    x = _layers.ReLU()(_layers.Add()([x, y]))
    x = _layers.Conv2D(7, (2, 3), strides=(2, 2))(_layers.ZeroPadding2D(1)(x))
    x = _layers.Flatten()(_layers.ReLU()(x))
    x = _layers.Dense(9, activation='relu')(x)
    return keras.Model(image, _layers.Dense(5)(_layers.Dense(11, activation='relu')(x)))


def check_same(model, dataset=None):
    """Checks the two files of a network, and returns the types of the kernels in the small one."""
    fast, small = (
        tf_n2uq.tflite.convert(model, representative_dataset=dataset, optimize_for=choice)
        for choice in ('latency', 'size')
    )
    images = images_for(model, 12, seed=3)
    expected = tf_n2uq.tflite.predict(fast, images)
    assert len(np.unique(expected)) > 1
    np.testing.assert_array_equal(tf_n2uq.tflite.predict(small, images), expected)
    assert _types(fast) == {'INT8'}
    return _types(small)


def _types(content):
    return {layer.kernel_type for layer in tf_n2uq.tflite.inspect(content).layers}


def quantized(model, scheme):
    model = tfmot.quantization.keras.quantize_apply(annotate(model), scheme=scheme)
    tf_n2uq.calibrate(model, images_for(model), verbose=0)
    return model


@pytest.mark.parametrize('bits', [2, 3, 4])
@pytest.mark.parametrize('method', SCHEMES)
def test_both_files_give_the_same_integers_for_each_method(method, bits):
    tf.random.set_seed(0)
    types = check_same(quantized(_all_kinds(), SCHEMES[method](bits)))
    assert ('INT2' if bits == 2 else 'INT4') in types


@pytest.mark.parametrize('name', NETWORKS)
def test_both_files_give_the_same_integers_for_each_pattern(name):
    check_same(quantized(float_network(name), tf_n2uq.N2UQScheme(2)))


@pytest.mark.parametrize(('weight_bits', 'activation_bits'), [(2, 4), (4, 2), (2, 8), (4, 3)])
def test_both_files_give_the_same_integers_where_bits_differ(weight_bits, activation_bits):
    scheme = tf_n2uq.N2UQScheme(weight_bits=weight_bits, activation_bits=activation_bits)
    check_same(quantized(_all_kinds(), scheme))
