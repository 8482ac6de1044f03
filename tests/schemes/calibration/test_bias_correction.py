import numpy as np
import pytest
import tf_keras as keras

import tf_n2uq
from tf_n2uq.layers import Quantize, QuantizedKernel
from tf_n2uq.quantizers import LSQInputQuantizer
from tf_n2uq.quantizers.statistics import TensorStatistics
from tf_n2uq.schemes.calibration.bias_correction import correct_bias, kernel_gain

layers = keras.layers
CHANNELS = 4


def quantizer_of_large_steps():
    """A quantizer that moves the mean of its input."""
    layer = Quantize(LSQInputQuantizer(2))
    layer.build((None, CHANNELS))
    for variable in layer.weights:
        variable.assign(np.ones(variable.shape))
    return layer


def wrapped(layer, shape):
    wrapper = QuantizedKernel(layer, tf_n2uq.N2UQQuantizeConfig(2))
    wrapper.build((None, *shape))
    rng = np.random.default_rng(0)
    layer.set_weights([rng.normal(0, 0.3, weight.shape) for weight in layer.get_weights()])
    return wrapper


def measured():
    samples = np.random.default_rng(1).uniform(0, 2.4, (4096, CHANNELS)).astype(np.float32)
    return TensorStatistics(0.0, 2.4, samples)


@pytest.mark.parametrize(
    ('layer', 'shape'),
    [
        (layers.Dense(6), ()),
        (layers.Conv2D(6, 1), (1, 1)),
        (layers.Conv2D(6, 1, groups=2), (1, 1)),
        (layers.DepthwiseConv2D(1, depth_multiplier=2), (1, 1)),
    ],
    ids=['dense', 'convolution', 'groups', 'depthwise'],
)
def test_the_mean_of_each_output_channel_is_that_of_the_float_layer(layer, shape):
    wrapper, quantizer, seen = (
        wrapped(layer, (*shape, CHANNELS)),
        quantizer_of_large_steps(),
        measured(),
    )
    x = seen.samples.reshape(-1, *shape, CHANNELS)
    expected = np.mean(layer(x), axis=0)
    before = np.mean(wrapper(quantizer(x)), axis=0)
    correct_bias(quantizer, wrapper, None, seen)
    after = np.mean(wrapper(quantizer(x)), axis=0)
    assert np.max(np.abs(before - expected)) > 0.05
    np.testing.assert_allclose(after, expected, atol=1e-3)


def test_a_normalization_behind_takes_it_up_and_the_bias_stays():
    wrapper, quantizer, seen = (
        wrapped(layers.Dense(6), (CHANNELS,)),
        quantizer_of_large_steps(),
        measured(),
    )
    normalization = layers.BatchNormalization()
    expected = np.mean(normalization(wrapper.layer(seen.samples)), axis=0)
    bias = wrapper.layer.bias.numpy()
    correct_bias(quantizer, wrapper, normalization, seen)
    got = np.mean(normalization(wrapper(quantizer(seen.samples))), axis=0)
    np.testing.assert_allclose(got, expected, atol=1e-3)
    np.testing.assert_array_equal(wrapper.layer.bias, bias)


@pytest.mark.parametrize(
    ('layer', 'shape'),
    [(layers.Dense(6, use_bias=False), ()), (layers.Conv2DTranspose(6, 2), (1, 1))],
    ids=['without bias', 'transposed'],
)
def test_other_layers_are_left_alone(layer, shape):
    wrapper = wrapped(layer, (*shape, CHANNELS))
    before = layer.get_weights()
    correct_bias(quantizer_of_large_steps(), wrapper, None, measured())
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_the_gain_is_the_factor_of_least_squares():
    wrapper = wrapped(layers.Dense(6), (CHANNELS,))
    exact, quantized = wrapper.layer.kernel.numpy(), wrapper.quantized_kernels()['kernel'].numpy()
    gain = kernel_gain(wrapper)
    errors = [
        np.sum(np.square(exact - factor * quantized)) for factor in (gain - 0.01, gain, gain + 0.01)
    ]
    assert errors[1] < min(errors[0], errors[2])


def test_a_kernel_of_zeros_has_no_gain():
    wrapper = wrapped(layers.Dense(6), (CHANNELS,))
    wrapper.layer.kernel.assign(np.zeros((CHANNELS, 6)))
    assert kernel_gain(wrapper) == 1.0
