import numpy as np
import pytest
import tf_keras as keras

import tf_n2uq
from tests.networks import quantize
from tests.tflite.integer_calls import RESULT, SOURCE, integer_call, numbers, run_form
from tf_n2uq.layers import QuantizedKernel
from tf_n2uq.tflite.network.kernel_forms import (
    KernelForm,
    PickedPixelsForm,
    QuantizedKernelForm,
    is_depthwise,
    multiply_dense,
    multiply_image,
    multiply_series,
    multiply_transposed,
)
from tf_n2uq.tflite.network.kernels import IntegerKernel

layers = keras.layers
IMAGE, SERIES = (2, 7, 8, 4), (2, 11, 4)
CASES = {
    'dense': (layers.Dense(5), multiply_dense, SERIES),
    'image': (layers.Conv2D(6, (3, 2), strides=2, padding='same'), multiply_image, IMAGE),
    'dilated': (layers.Conv2D(6, 3, dilation_rate=2), multiply_image, IMAGE),
    'grouped': (layers.Conv2D(6, 3, groups=2), multiply_image, IMAGE),
    'depthwise': (layers.DepthwiseConv2D(3, depth_multiplier=2), multiply_image, IMAGE),
    'series': (layers.Conv1D(6, 3, strides=2), multiply_series, SERIES),
    'causal': (layers.Conv1D(6, 3, dilation_rate=2, padding='causal'), multiply_series, SERIES),
    'depthwise series': (layers.DepthwiseConv1D(3, strides=2), multiply_series, SERIES),
    'transposed': (
        layers.Conv2DTranspose(6, 3, strides=2, padding='same'),
        multiply_transposed,
        IMAGE,
    ),
}


def with_integers(layer, shape):
    """Gives a layer a kernel of whole numbers of 1/100 and a bias; returns both as integers."""
    rng = np.random.default_rng(0)
    layer.build(shape)
    kernel, bias = (np.asarray(weight) for weight in layer.get_weights())
    integers = rng.integers(-127, 128, kernel.shape).astype(np.int32)
    bias = rng.normal(size=bias.shape).astype(np.float32)
    layer.set_weights([integers / 100, bias])
    if isinstance(layer, layers.Conv2DTranspose):
        integers = integers.swapaxes(-1, -2)
    if is_depthwise(layer):
        integers = integers.reshape(*integers.shape[:-2], -1)
    return IntegerKernel(integers, np.full(bias.shape, 0.01), bias)


@pytest.mark.parametrize('name', CASES)
def test_the_kernel_of_a_layer_gives_what_the_layer_gives(name):
    layer, multiply, shape = CASES[name]
    kernel = with_integers(layer, shape)
    form = KernelForm(lambda call: kernel, multiply)
    result = run_form(form, integer_call(layer, shape), numbers(shape))
    # The file's bias is a whole number of units of its sums.
    rounding = 0.5 * SOURCE.scale * 0.01
    np.testing.assert_allclose(result, layer(numbers(shape)), atol=rounding + 1e-4)


@pytest.mark.parametrize('normalized', [False, True])
def test_a_quantized_kernel_takes_on_the_line_behind_it(normalized):
    image = keras.Input(IMAGE[1:])
    x = layers.Conv2D(6, 3, name='kernel')(image)
    x = layers.BatchNormalization(name='line')(x) if normalized else x
    model = quantize(keras.Model(image, x), bits=8)
    tf_n2uq.calibrate(model, numbers((8, *IMAGE[1:])), verbose=0)
    (kernel,) = [layer for layer in model.layers if isinstance(layer, QuantizedKernel)]
    lines = [each for each in model.layers if isinstance(each, layers.BatchNormalization)]
    line = lines[0] if normalized else None
    expected = kernel(numbers(IMAGE))
    if line is not None:
        rng = np.random.default_rng(0)
        line.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in line.weights])
        expected = line(expected)
    call = integer_call(kernel, IMAGE, line=line)
    result = run_form(QuantizedKernelForm(), call, numbers(IMAGE))
    np.testing.assert_allclose(result, expected, atol=1e-3)


@pytest.mark.parametrize('strides', [(1, 1), (2, 2), (3, 3)])
def test_windows_of_one_pixel_pick_pixels_in_the_range_that_they_read(strides):
    layer = layers.MaxPooling2D(1, strides)
    x = numbers(IMAGE)
    result = run_form(PickedPixelsForm(), integer_call(layer, IMAGE, result=None), x)
    np.testing.assert_allclose(result, layer(x), atol=1e-6)


def test_kernels_are_fitted_between_the_ranges_of_the_call():
    huge = IntegerKernel(np.ones((4, 5), np.int32), np.full(5, 1e6), np.zeros(5))
    call = integer_call(layers.Dense(5), (1, 4))
    (kernel,) = KernelForm(lambda call: huge, multiply_dense).kernels(call).values()
    assert np.all(kernel.unit * SOURCE.scale / RESULT.scale < 256)
