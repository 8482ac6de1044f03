import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.layers import BorderScale


def test_border_factors_multiply_rows_by_columns():
    factors = BorderScale([1.5, 1.0], [2.0, 1.0, 3.0]).factors()
    assert factors.shape == (1, 2, 3, 1)
    np.testing.assert_array_equal(factors[0, :, :, 0], [[3.0, 1.5, 4.5], [2.0, 1.0, 3.0]])


def test_every_image_and_channel_is_multiplied_alike():
    x = np.random.default_rng(0).normal(size=(2, 2, 3, 4)).astype(np.float32)
    layer = BorderScale([1.5, 1.0], [2.0, 1.0, 3.0])
    np.testing.assert_allclose(layer(x), x * layer.factors(), rtol=1e-6)


def test_it_makes_an_average_with_zeros_one_over_the_image():
    x = np.random.default_rng(0).normal(size=(1, 4, 4, 2)).astype(np.float32)
    padded = keras.layers.AveragePooling2D(3, 1)(np.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]))
    factors = [1.5, 1.0, 1.0, 1.5]
    expected = keras.layers.AveragePooling2D(3, 1, padding='same')(x)
    np.testing.assert_allclose(BorderScale(factors, factors)(padded), expected, atol=1e-6)


@pytest.mark.parametrize('policy', ['float32', 'mixed_float16'])
def test_it_computes_in_its_own_type(policy):
    layer = BorderScale([1.0, 2.0], [1.0], dtype=policy)
    outputs = layer(tf.ones([1, 2, 1, 1]))
    assert outputs.dtype == layer.compute_dtype
    np.testing.assert_array_equal(outputs[0, :, 0, 0], [1.0, 2.0])


def test_its_config_holds_the_factors():
    layer = BorderScale(np.float32([1.5, 1.0]), (2, 1), name='border')
    copy = BorderScale.from_config(layer.get_config())
    assert (copy.rows, copy.columns, copy.name) == ([1.5, 1.0], [2.0, 1.0], 'border')
