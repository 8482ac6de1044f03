import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.layers import RPReLU


def test_it_is_a_prelu_between_two_biases():
    layer = RPReLU()
    x = np.linspace(-2, 2, 30).reshape(5, 6).astype(np.float32)
    layer.build((None, 6))
    bias_in, slope, bias_out = np.random.default_rng(0).normal(size=(3, 6)).astype(np.float32)
    layer.set_weights([bias_in, slope, bias_out])
    shifted = x + bias_in
    expected = np.where(shifted > 0, shifted, slope * shifted) + bias_out
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5, atol=1e-6)


def test_a_negative_slope_is_allowed_and_learned():
    layer = RPReLU()
    x = tf.constant([[-1.0, 2.0]])
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(layer(x))
    gradients = tape.gradient(y, layer.trainable_weights)
    np.testing.assert_allclose(gradients[0], [0.25, 1.0])
    np.testing.assert_allclose(gradients[1], [-1.0, 0.0])
    np.testing.assert_allclose(gradients[2], [1.0, 1.0])


def test_it_is_saved_without_a_scope(tmp_path):
    model = keras.Sequential([keras.Input((3, 3, 4)), RPReLU()])
    model.layers[0].slope.assign([0.1, -0.2, 0.3, 0.4])
    model.save(tmp_path / 'm.keras')
    loaded = keras.models.load_model(tmp_path / 'm.keras')
    x = np.random.default_rng(0).normal(size=(2, 3, 3, 4)).astype(np.float32)
    np.testing.assert_array_equal(loaded(x), model(x))


def test_channels_must_be_known():
    with pytest.raises(ValueError, match='channels'):
        RPReLU()(keras.Input((3, None)))


def test_channels_may_share_the_slope_and_the_last_bias(tmp_path):
    model = keras.Sequential([keras.Input((3, 3, 4)), RPReLU(shared=True)])
    layer = model.layers[0]
    assert [tuple(weight.shape) for weight in layer.weights] == [(4,), (1,), (1,)]
    layer.set_weights([np.array([0.1, -0.2, 0.3, 0.4]), np.array([0.5]), np.array([-0.3])])
    x = np.random.default_rng(0).normal(size=(2, 3, 3, 4)).astype(np.float32)
    shifted = x + layer.bias_in
    expected = np.where(shifted > 0, shifted, 0.5 * shifted) - 0.3
    np.testing.assert_allclose(layer(x), expected, rtol=1e-5, atol=1e-6)
    model.save(tmp_path / 'model.keras')
    np.testing.assert_array_equal(keras.models.load_model(tmp_path / 'model.keras')(x), model(x))
