import numpy as np
import pytest
import tf_keras as keras

from tf_n2uq.tflite.network.kernels import IntegerKernel
from tf_n2uq.tflite.network.transposed import run_transposed

FILTERS, CHANNELS = 4, 3


def integer_kernel(layer, rng):
    integers = rng.integers(-7, 8, (*layer.kernel_size, CHANNELS, FILTERS)).astype(np.int32)
    unit = rng.uniform(0.01, 0.1, FILTERS).astype(np.float32).astype(np.float64)
    return IntegerKernel(integers, unit, rng.normal(size=FILTERS))


@pytest.mark.parametrize('padding', ['same', 'valid'])
@pytest.mark.parametrize('strides', [1, 2, 3, (2, 1), (1, 3), (4, 2)])
@pytest.mark.parametrize('kernel_size', [1, 2, 3, 4, (5, 2)])
def test_it_is_what_keras_computes(kernel_size, strides, padding):
    check(keras.layers.Conv2DTranspose(FILTERS, kernel_size, strides, padding))


@pytest.mark.parametrize('padding', ['same', 'valid'])
@pytest.mark.parametrize('kernel_size', [2, 3, (5, 2)])
def test_it_is_dilated_as_in_keras(kernel_size, padding):
    check(keras.layers.Conv2DTranspose(FILTERS, kernel_size, padding=padding, dilation_rate=2))


def check(layer):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 5, 6, CHANNELS)).astype(np.float32)
    layer(x)
    kernel = integer_kernel(layer, rng)
    exact = (kernel.integers * kernel.unit).swapaxes(-1, -2)
    layer.set_weights([exact.astype(np.float32), kernel.bias.astype(np.float32)])
    expected = layer(x)
    got = run_transposed(layer, x, kernel, expected.shape[1:3])
    np.testing.assert_allclose(got, expected, atol=1e-4)
