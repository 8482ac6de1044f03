from __future__ import annotations

import keras as keras3
import numpy as np
import pytest
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tests.keras3.keras3_models import chain, randomize

layers = keras3.layers


def network():
    """A network with each kind of layer that quantization writes in another way."""
    inner = chain(
        layers.SeparableConv2D(4, 3, padding='same', name='separable'),
        layers.BatchNormalization(name='norm'),
        shape=(6, 6, 4),
    )
    inputs = keras3.Input((6, 6, 3))
    x = layers.Conv2D(4, 3, padding='same', name='conv')(inputs)
    x = layers.ReLU()(layers.BatchNormalization(name='norm')(x))
    x = layers.Conv2D(4, 3, groups=4, padding='same', name='grouped')(inner(x))
    x = layers.ReLU()(layers.LayerNormalization(name='layer', center=False)(x))
    model = keras3.Model(inputs, layers.Dense(3, name='head')(layers.Flatten()(x)))
    randomize(model)
    return model


def quantized_and_trained(theirs):
    annotated = tf_n2uq.annotate(theirs)
    scheme = tf_n2uq.LSQScheme(bits=8)
    model = tfmot.quantization.keras.quantize_apply(annotated, scheme=scheme)
    images = np.random.default_rng(0).normal(size=(16, 6, 6, 3)).astype(np.float32)
    tf_n2uq.calibrate(model, images)
    model.compile(keras.optimizers.SGD(0.01), 'mse')
    model.fit(images, np.ones((16, 3), np.float32), verbose=0)
    return model, images


def test_float_weights_of_a_trained_quantized_network_return():
    theirs = network()
    before = [np.asarray(each) for each in theirs.get_weights()]
    model, images = quantized_and_trained(theirs)
    tf_n2uq.to_keras3_weights(model, theirs)
    changed = [
        not np.array_equal(old, np.asarray(new))
        for old, new in zip(before, theirs.get_weights(), strict=True)
    ]
    assert all(changed)
    kernel = model.get_layer('quant_conv').layer.kernel
    np.testing.assert_array_equal(np.asarray(theirs.get_layer('conv').kernel), kernel)
    expected = model(images, training=False).numpy()
    difference = np.abs(np.asarray(theirs(images, training=False)) - expected).max()
    assert difference < 0.1 * np.ptp(expected)


def test_the_way_there_and_back_changes_nothing(tmp_path):
    theirs = chain(
        layers.Bidirectional(layers.LSTM(3, return_sequences=True)),
        layers.RNN([layers.GRUCell(3), layers.SimpleRNNCell(4)]),
        shape=(5, 4),
    )
    ours = tf_n2uq.from_keras3(theirs)
    fresh = keras3.models.clone_model(theirs)
    tf_n2uq.to_keras3_weights(ours, fresh)
    for old, new in zip(theirs.get_weights(), fresh.get_weights(), strict=True):
        np.testing.assert_array_equal(np.asarray(old), np.asarray(new))


def test_another_network_is_refused_and_nothing_changes():
    theirs = chain(layers.Dense(3, name='one'), layers.Dense(3, name='two'), shape=(4,))
    before = theirs.get_weights()
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, name='one')])
    with pytest.raises(ValueError, match="'two'.*does not have under the name 'two'.*from_keras3"):
        tf_n2uq.to_keras3_weights(other, theirs)
    assert all(np.array_equal(*pair) for pair in zip(before, theirs.get_weights(), strict=True))


def test_the_arguments_are_told_apart():
    theirs, ours = chain(layers.Dense(3), shape=(4,)), keras.Sequential()
    with pytest.raises(TypeError, match='^model: expected a tf_keras model'):
        tf_n2uq.to_keras3_weights(theirs, theirs)
    with pytest.raises(TypeError, match='^keras3_model: expected a model of Keras 3'):
        tf_n2uq.to_keras3_weights(ours, ours)


def test_weights_of_a_last_layer_whose_name_a_range_has_taken_return():
    inputs = keras3.Input((8,))
    x = keras3.layers.Dense(6, activation='relu')(inputs)
    outputs = keras3.layers.PReLU(name='last')(keras3.layers.Dense(4)(x))
    theirs = keras3.Model(inputs, outputs)
    ours = tfmot.quantization.keras.quantize_apply(
        tf_n2uq.annotate(theirs), scheme=tf_n2uq.N2UQScheme(bits=4)
    )
    (slopes,) = [layer for layer in ours.layers if isinstance(layer, keras.layers.PReLU)]
    assert slopes.name == 'quant_last'
    slopes.set_weights([np.float32([0.1, 0.2, 0.3, 0.4])])
    tf_n2uq.to_keras3_weights(ours, theirs)
    returned = np.asarray(theirs.get_layer('last').weights[0])
    np.testing.assert_array_equal(returned, np.float32([0.1, 0.2, 0.3, 0.4]))
