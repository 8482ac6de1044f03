"""Each registered method at each bit-width: its quantizers do what calibration and export ask."""

from __future__ import annotations

import functools
import inspect
import json

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import tf_n2uq
from tests.quantizers.layers import Owner
from tf_n2uq.quantizers import (
    ActivationQuantizer,
    KernelQuantizer,
    LearningKernelQuantizer,
    SymmetricQuantizer,
    TensorStatistics,
)

METHODS = tf_n2uq.methods()
each_method = pytest.mark.parametrize('method', METHODS, ids=lambda method: method.name)
each_width = pytest.mark.parametrize('bits', range(2, 9))
each_low_width = pytest.mark.parametrize('bits', range(2, 8))
AXES = {'conv': -1, 'dense': -1, 'depthwise': (-2, -1)}
SHAPES = {'conv': (3, 3, 4, 6), 'dense': (12, 5), 'depthwise': (3, 3, 8, 1)}


def config_of(method, bits):
    return method.scheme(bits).default_config()


@functools.cache
def calibrated_input(method, bits, signed=True):
    """The method's calibrated quantizer of inputs, with its variables and the samples."""
    quantizer = config_of(method, bits).input_quantizer()
    layer = Owner(quantizer)
    layer(tf.ones([2, 3]))
    samples = np.random.default_rng(bits).normal(0.5, 1, [4096, 3]).astype(np.float32)
    samples = samples if signed else np.maximum(samples, 0)
    statistics = TensorStatistics(float(samples.min()), float(samples.max()), samples)
    started = quantizer.calibrated(statistics)
    assert set(started) <= set(layer.quantizer_weights)
    for name, value in started.items():
        assert np.all(np.isfinite(value))
        layer.quantizer_weights[name].assign(value)
    return quantizer, layer.quantizer_weights, samples


def kernel_and_quantizer(method, bits, kind):
    kernel = np.random.default_rng(bits).normal(0, 0.1, SHAPES[kind]).astype(np.float32)
    quantizer = config_of(method, bits).kernel_quantizer(AXES[kind])
    layer = Owner(quantizer)
    layer(tf.constant(kernel))
    weights = layer.quantizer_weights
    if isinstance(quantizer, LearningKernelQuantizer):
        rows = kernel.reshape(-1, kernel.shape[-1])
        statistics = TensorStatistics(float(kernel.min()), float(kernel.max()), rows)
        for name, value in quantizer.calibrated(statistics).items():
            weights[name].assign(value)
    return kernel, quantizer, weights


@each_method
def test_a_scheme_is_a_policy_of_bits(method):
    scheme = method.scheme(
        3,
        boundary_bits=None,
        tensor_bits=None,
        layers={'head': 5},
        weight_bits=4,
        activation_bits=2,
        deployment=tf_n2uq.layers.Deployment(halved_bits=()),
    )
    assert isinstance(scheme, tf_n2uq.BitPolicy)
    assert (scheme.boundary_bits, scheme.tensor_bits) == (None, None)
    assert scheme.layers == {'head': 5}
    assert scheme.deployment.halved_bits == ()
    config = scheme.default_config()
    assert (config.weight_bits, config.activation_bits) == (4, 2)
    assert scheme.make_config(5, 6).get_config() == {
        **config.get_config(), 'bits': 6, 'weight_bits': 5, 'activation_bits': 6,
    }  # fmt: skip


@each_method
def test_a_scheme_has_a_docstring_with_its_source(method):
    assert 'Source: ' in inspect.getdoc(method.scheme)
    for quantizer in (config_of(method, 3).kernel_quantizer(-1), calibrated_input(method, 3)[0]):
        assert 'Source: ' in inspect.getdoc(type(quantizer))


@each_method
@each_width
def test_a_config_survives_json(method, bits):
    config = config_of(method, bits)
    data = json.loads(json.dumps(keras.saving.serialize_keras_object(config)))
    assert keras.saving.deserialize_keras_object(data) == config


@each_method
def test_eight_bits_are_plain_int8(method):
    config = config_of(method, 8)
    assert config.input_quantizer() is None
    assert config.kernel_quantizer((-2, -1)) == SymmetricQuantizer(8, (-2, -1))


@each_method
@each_width
@pytest.mark.parametrize('kind', SHAPES)
def test_a_quantized_kernel_is_integers_times_units(method, bits, kind):
    kernel, quantizer, weights = kernel_and_quantizer(method, bits, kind)
    assert isinstance(quantizer, KernelQuantizer)
    assert quantizer.bits == bits
    assert isinstance(quantizer, LearningKernelQuantizer) or not weights
    integers, unit = quantizer.integers(kernel, weights)
    assert (integers.dtype, unit.dtype) == (tf.int32, tf.float32)
    assert np.all(np.abs(integers) <= 2**bits - 1)
    assert np.unique(integers).size <= 2**bits
    assert np.all(np.asarray(integers) % 2 == 1) == quantizer.has_odd_integers
    quantized = quantizer(tf.constant(kernel), False, weights=weights)
    np.testing.assert_array_equal(tf.cast(integers, tf.float32) * unit, quantized)


@each_method
@each_width
def test_a_kernel_is_as_large_as_the_float_one_where_the_quantizer_says_so(method, bits):
    kernel, quantizer, weights = kernel_and_quantizer(method, bits, 'conv')
    quantized = quantizer(tf.constant(kernel), False, weights=weights).numpy()
    gain = np.sum(kernel * quantized) / np.sum(np.square(quantized))
    assert (0.5 < gain < 2) == quantizer.keeps_scale
    divisor = quantizer.bias_divisor(kernel)
    assert divisor is None or float(divisor) > 0


@each_method
@each_width
def test_a_kernel_learns(method, bits):
    kernel, quantizer, weights = kernel_and_quantizer(method, bits, 'conv')
    kernel = tf.constant(kernel)
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        y = quantizer(kernel, True, weights=weights)
    gradients = tape.gradient(y, [kernel, *weights.values()], tf.ones_like(y))
    for gradient, variable in zip(gradients, [kernel, *weights.values()], strict=True):
        assert gradient.shape == variable.shape
        assert np.all(np.isfinite(gradient))
        assert np.any(gradient != 0)


@each_method
@each_low_width
def test_an_input_is_levels_times_the_step(method, bits):
    quantizer, weights, samples = calibrated_input(method, bits)
    assert isinstance(quantizer, ActivationQuantizer)
    assert (quantizer.bits, quantizer.is_identity) == (bits, False)
    levels, step = quantizer.levels(samples, weights), quantizer.step(weights)
    assert (levels.dtype, step.dtype) == (tf.int32, tf.float64)
    outputs = quantizer(tf.constant(samples), False, weights=weights)
    expected = levels.numpy() * float(step)
    np.testing.assert_allclose(outputs, expected, rtol=1e-6, atol=1e-7)
    in_training = quantizer(tf.constant(samples), True, weights=weights)
    np.testing.assert_allclose(in_training, expected, rtol=1e-5, atol=1e-6)


@each_method
@each_low_width
def test_levels_rise_and_have_zero_among_them(method, bits):
    quantizer, weights, _ = calibrated_input(method, bits)
    levels = quantizer.levels(tf.linspace(-99.0, 99.0, 20001), weights).numpy()
    assert np.all(np.diff(levels) >= 0)
    assert levels[0] <= 0 <= levels[-1]
    assert levels[-1] - levels[0] == 2**bits - 1


@each_method
@each_low_width
def test_the_step_can_be_read_inside_of_a_function(method, bits):
    quantizer, weights, _ = calibrated_input(method, bits)
    traced = tf.function(lambda: quantizer.step(weights))
    assert float(traced()) == pytest.approx(float(quantizer.step(weights)), rel=1e-14)


@each_method
@each_low_width
def test_calibration_fits_the_levels_to_the_samples(method, bits):
    quantizer, weights, samples = calibrated_input(method, bits, signed=False)
    outputs = quantizer(tf.constant(samples), False, weights=weights).numpy()
    error = np.mean(np.square(samples - outputs)) / np.mean(np.square(samples))
    assert error < 0.5 / 2**bits


@each_method
@pytest.mark.parametrize('value', [0.0, -1.0])
def test_variables_that_training_has_driven_out_of_range_give_finite_numbers(method, value):
    quantizer, weights, samples = calibrated_input(method, 3)
    before = {name: variable.numpy() for name, variable in weights.items()}
    for variable in weights.values():
        variable.assign(tf.fill(variable.shape, value))
    outputs = quantizer(tf.constant(samples), False, weights=weights).numpy()
    expected = quantizer.levels(samples, weights).numpy() * float(quantizer.step(weights))
    for name, variable in weights.items():
        variable.assign(before[name])
    assert np.all(np.isfinite(outputs))
    np.testing.assert_allclose(outputs, expected, rtol=1e-6, atol=1e-7)
