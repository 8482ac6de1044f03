import numpy as np
import pytest
import tf_keras as keras

import tf_n2uq
from tf_n2uq.graph.graph import Graph
from tf_n2uq.layers import QuantizedKernel
from tf_n2uq.schemes.calibration.bias_correction import kernel_gain
from tf_n2uq.schemes.calibration.kernel_start import (
    in_quantized_scale,
    scale_gain,
    start_kernels,
    start_quantizers,
)

layers = keras.layers


def kernel(config, seed=0):
    """A wrapped dense layer of small random weights."""
    wrapper = QuantizedKernel(layers.Dense(6), config, name='kernel')
    wrapper.build((None, 8))
    rng = np.random.default_rng(seed)
    wrapper.layer.set_weights([rng.normal(0, 0.1, (8, 6)), rng.normal(size=6)])
    return wrapper


def test_a_learned_step_starts_from_the_kernel():
    wrapper = kernel(tf_n2uq.LSQQuantizeConfig(4))
    start_quantizers(wrapper)
    ((_, _, weights),) = wrapper.kernel_quantizers
    mean = np.mean(np.abs(wrapper.layer.kernel))
    # LSQ, section 2.1: 2·mean|w| / √Q.
    np.testing.assert_allclose(weights['step_size'], 2 * mean / np.sqrt(7), rtol=1e-5)


def test_quantizers_without_variables_stay():
    wrapper = kernel(tf_n2uq.N2UQQuantizeConfig(4))
    before = wrapper.get_weights()
    start_quantizers(wrapper)
    for old, new in zip(before, wrapper.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize('config', [tf_n2uq.N2UQQuantizeConfig(4), tf_n2uq.LSQQuantizeConfig(4)])
def test_kernels_that_keep_their_scale_need_no_factor(config):
    wrapper = kernel(config)
    start_quantizers(wrapper)
    assert scale_gain(wrapper) == 1.0
    for own, exact in zip(in_quantized_scale(wrapper), wrapper.layer.get_weights(), strict=True):
        np.testing.assert_array_equal(own, exact)


def test_kernels_in_a_scale_of_their_own_are_brought_to_it_and_biases_are_not():
    wrapper = kernel(tf_n2uq.DoReFaQuantizeConfig(4))
    gain = scale_gain(wrapper)
    assert gain == kernel_gain(wrapper)
    assert gain < 0.5
    scaled, bias = in_quantized_scale(wrapper)
    np.testing.assert_allclose(scaled, wrapper.layer.kernel / gain, rtol=1e-5)
    np.testing.assert_array_equal(bias, wrapper.layer.bias)
    np.testing.assert_allclose(scaled, wrapper.quantized_kernels()['kernel'], atol=0.3)


@pytest.mark.parametrize('use_bias', [True, False])
def test_a_normalization_behind_takes_up_the_scale(use_bias):
    inputs = keras.Input((8,))
    config = tf_n2uq.DoReFaQuantizeConfig(8)
    x = QuantizedKernel(layers.Dense(6, use_bias=use_bias), config, name='kernel')(inputs)
    model = keras.Model(inputs, layers.BatchNormalization(name='bn', epsilon=1e-6)(x))
    rng = np.random.default_rng(0)
    wrapper, normalization = model.get_layer('kernel'), model.get_layer('bn')
    weights = [rng.normal(0, 0.1, (8, 6)), rng.normal(size=6)]
    wrapper.layer.set_weights(weights[: 1 + use_bias])
    normalization.moving_mean.assign(rng.normal(size=6))
    x = rng.normal(size=(4, 8)).astype(np.float32)
    before = normalization(wrapper.layer(x)).numpy()
    start_kernels(Graph.of_layers(model))
    # At 8 bits the network predicts what it did, though its kernel is another.
    np.testing.assert_allclose(model(x), before, atol=0.05)
