import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.layers import ChannelScale


def test_it_multiplies_each_channel_by_a_number_of_its_own():
    layer = ChannelScale()
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype(np.float32)
    np.testing.assert_array_equal(layer(x), x)
    layer.scale.assign([0.5, -1.0, 2.0])
    np.testing.assert_array_equal(layer(x), x * np.float32([0.5, -1.0, 2.0]))


def test_the_numbers_are_learned():
    layer = ChannelScale()
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(layer(tf.constant([[1.0, 2.0], [3.0, 4.0]])))
    (gradient,) = tape.gradient(y, layer.trainable_weights)
    np.testing.assert_array_equal(gradient, [4.0, 6.0])


@pytest.mark.parametrize('ending', ['keras', 'h5'])
def test_it_is_saved_without_a_scope(tmp_path, ending):
    model = keras.Sequential([keras.Input((4, 4, 3)), ChannelScale()])
    model.layers[0].scale.assign([0.5, -1.0, 2.0])
    model.save(tmp_path / f'model.{ending}')
    loaded = keras.models.load_model(tmp_path / f'model.{ending}')
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype(np.float32)
    np.testing.assert_array_equal(loaded(x), model(x))
