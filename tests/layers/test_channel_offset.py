import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from absl import logging

from tf_n2uq.layers import Quantize, RPReLU
from tf_n2uq.layers.channel_offset import summed_shifts
from tf_n2uq.quantizers import RangeQuantizer

CHANNELS = 4


def ranged(name='range', **offset):
    """A range from −8 to 7.9375 in steps of 1/16, with the shifts of these layers as its offset."""
    layer = Quantize(RangeQuantizer(), offset=offset, name=name)
    layer.build((None, CHANNELS))
    layer.quantizer_weights['min'].assign(-8.0)
    layer.quantizer_weights['max'].assign(-8.0 + 255 / 16)
    return layer


def rectifier(name, seed):
    layer = RPReLU(name=name)
    layer.build((None, CHANNELS))
    for weight in layer.weights:
        weight.assign(np.random.default_rng(seed).normal(0, 0.5, CHANNELS))
    return layer


def network():
    """A range whose offset is the shift of a layer behind it, and one with one of each side."""
    image = keras.Input((CHANNELS,))
    first = ranged('first_range', first=1)(image)
    x = rectifier('first', 1)(first)
    y = ranged('second_range', first=-1, second=1)(x)
    return keras.Model(image, [first, y, rectifier('second', 2)(y)])


def shift(model, name):
    layer = model.get_layer(name)
    return layer.bias_in.numpy() + layer.bias_out.numpy()


def test_numbers_are_rounded_on_the_grid_of_the_offset_tensor():
    model = network()
    x = np.random.default_rng(0).normal(0, 2, (50, CHANNELS)).astype(np.float32)
    first, second, _ = (each.numpy() for each in model(x))
    for got, offset in (
        (first, shift(model, 'first')),
        (second, shift(model, 'second') - shift(model, 'first')),
    ):
        steps = (got + offset) * 16
        np.testing.assert_allclose(steps, np.rint(steps), atol=1e-4)
    assert np.abs(first - x).max() <= 1 / 32 + 1e-5


def test_saved_networks_find_their_layers_again(tmp_path):
    model = network()
    x = np.random.default_rng(0).normal(0, 2, (50, CHANNELS)).astype(np.float32)
    for path in ('model.keras', 'model.h5', 'saved_model'):
        model.save(tmp_path / path)
        loaded = keras.models.load_model(tmp_path / path)
        for got, expected in zip(loaded(x), model(x), strict=True):
            np.testing.assert_array_equal(got, expected)


def test_a_clone_adds_the_shifts_of_its_own_layers():
    model = network()
    copy = keras.models.clone_model(model)
    copy.set_weights(model.get_weights())
    copy.get_layer('first').bias_in.assign_add(np.full(CHANNELS, 0.03))
    offset = copy.get_layer('first_range').channel_offset()
    np.testing.assert_allclose(offset, shift(copy, 'first'), rtol=1e-6)


def test_a_model_that_is_made_of_the_layers_later_changes_nothing():
    model = network()
    before = model.get_layer('first_range').channel_offset().numpy()
    image = keras.Input((CHANNELS,))
    keras.Model(image, rectifier('first', 7)(model.get_layer('first_range')(image)))
    np.testing.assert_array_equal(model.get_layer('first_range').channel_offset(), before)


def test_a_range_without_the_layer_warns_and_adds_nothing():
    image = keras.Input((CHANNELS,))
    layer = ranged('lonely_range', absent=1)
    layer(image)
    with pytest.MonkeyPatch.context() as patch:
        messages = []
        patch.setattr(logging, 'warning', lambda text, *args: messages.append(text % args))
        x = tf.constant(np.ones((1, CHANNELS), np.float32))
        np.testing.assert_array_equal(layer(x), ranged()(x))
        layer(x)
    assert len(messages) == 1
    assert "'lonely_range': expected the layers 'absent' in the same model" in messages[0]


def test_the_offset_has_no_gradient():
    model = network()
    x = tf.constant(np.random.default_rng(0).normal(0, 1, (50, CHANNELS)), tf.float32)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(model(x)[0])
    assert tape.gradient(total, model.get_layer('first').bias_in) is None


def test_shifts_are_summed_with_their_factors():
    layers = {'a': rectifier('a', 1), 'b': rectifier('b', 2)}
    got = summed_shifts({'a': 2, 'b': -1}, layers)
    np.testing.assert_allclose(got, 2 * layers['a'].shift() - layers['b'].shift(), rtol=1e-6)
