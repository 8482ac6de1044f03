import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.layers import ChannelAffine


@pytest.mark.parametrize('shape', [(3,), (5, 3), (4, 5, 3)])
def test_it_multiplies_and_shifts_each_channel(shape):
    layer = ChannelAffine()
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    np.testing.assert_array_equal(layer(x), x)
    layer.gamma.assign([0.5, -1.0, 2.0])
    layer.beta.assign([1.0, 0.0, -3.0])
    expected = x * np.float32([0.5, -1.0, 2.0]) + np.float32([1.0, 0.0, -3.0])
    np.testing.assert_allclose(layer(x), expected, rtol=1e-6)


def test_both_numbers_are_learned():
    layer = ChannelAffine()
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(layer(tf.constant([[1.0, 2.0], [3.0, 4.0]])))
    gamma, beta = tape.gradient(y, layer.trainable_weights)
    np.testing.assert_array_equal(gamma, [4.0, 6.0])
    np.testing.assert_array_equal(beta, [2.0, 2.0])


@pytest.mark.parametrize('ending', ['keras', 'h5'])
def test_it_is_saved_without_a_scope(tmp_path, ending):
    model = keras.Sequential([keras.Input((3,)), ChannelAffine()])
    model.set_weights(np.float32([[0.5, -1.0, 2.0], [1.0, 0.0, -3.0]]))
    model.save(tmp_path / f'model.{ending}')
    loaded = keras.models.load_model(tmp_path / f'model.{ending}')
    x = np.random.default_rng(0).normal(size=(2, 3)).astype(np.float32)
    np.testing.assert_array_equal(loaded(x), model(x))
