import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.tflite.network.upsampling import bilinear_kernel, interpolate, repeat

CHANNELS = 3


@pytest.mark.parametrize('size', [(2, 2), (3, 2), (1, 4), (5, 5)])
@pytest.mark.parametrize('interpolation', ['nearest', 'bilinear'])
@pytest.mark.parametrize('batch', [1, 3])
def test_it_is_what_keras_computes(size, interpolation, batch):
    x = np.random.default_rng(0).normal(size=(batch, 4, 5, CHANNELS)).astype(np.float32)
    expected = keras.layers.UpSampling2D(size, interpolation=interpolation)(x)
    if interpolation == 'nearest':
        got = repeat(tf.constant(x), size)
    else:
        got = interpolate(tf.constant(x), bilinear_kernel(CHANNELS, size), size)
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize('batch', [1, 3])
def test_a_sequence_is_repeated_along_its_length(batch):
    x = np.random.default_rng(0).normal(size=(batch, 6, CHANNELS)).astype(np.float32)
    np.testing.assert_array_equal(repeat(tf.constant(x), 7), keras.layers.UpSampling1D(7)(x))
