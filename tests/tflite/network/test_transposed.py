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
@pytest.mark.parametrize('strides', [1, 2, 3])
@pytest.mark.parametrize('kernel_size', [1, 2, 3, 4, (5, 2)])
def test_it_is_what_keras_computes(kernel_size, strides, padding):
    rng = np.random.default_rng(0)
    layer = keras.layers.Conv2DTranspose(FILTERS, kernel_size, strides, padding)
    x = rng.normal(size=(2, 5, 6, CHANNELS)).astype(np.float32)
    layer(x)
    kernel = integer_kernel(layer, rng)
    exact = (kernel.integers * kernel.unit).swapaxes(-1, -2)
    layer.set_weights([exact.astype(np.float32), kernel.bias.astype(np.float32)])
    expected = layer(x)
    got = run_transposed(layer, x, kernel, expected.shape[1:3])
    np.testing.assert_allclose(got, expected, atol=1e-4)


@pytest.mark.parametrize('options', [{'strides': (2, 1)}, {'dilation_rate': 2}])
def test_strides_that_differ_and_dilation_are_errors(options):
    layer = keras.layers.Conv2DTranspose(FILTERS, 3, name='up', **options)
    layer.build((None, 5, 6, CHANNELS))
    with pytest.raises(ValueError, match="layer 'up', got strides"):
        run_transposed(
            layer,
            np.zeros((1, 5, 6, CHANNELS), np.float32),
            integer_kernel(layer, np.random.default_rng(0)),
            (10, 12),
        )
