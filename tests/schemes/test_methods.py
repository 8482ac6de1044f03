"""Properties that every method has: which quantizers go where, and how they start."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tests.networks import annotate, float_network, images_for
from tf_n2uq.layers import Quantize, QuantizedKernel
from tf_n2uq.quantizers import (
    RangeQuantizer,
    SymmetricQuantizer,
)

quantize_apply = tfmot.quantization.keras.quantize_apply

SCHEMES = {method.name: method.scheme for method in tf_n2uq.methods()}
each_method = pytest.mark.parametrize('method', SCHEMES)


def quantized(name, method, bits=4, calibrated=True, **arguments):
    model = quantize_apply(annotate(float_network(name)), scheme=SCHEMES[method](bits, **arguments))
    if calibrated:
        tf_n2uq.calibrate(model, images_for(model, 128), verbose=0)
    return model


def kernel_quantizers(model):
    return [
        quantizer
        for layer in model.layers
        if isinstance(layer, QuantizedKernel)
        for _, quantizer, _ in layer.kernel_quantizers
    ]


def input_quantizers(model):
    return [
        layer.quantizer
        for layer in model.layers
        if isinstance(layer, Quantize) and not isinstance(layer.quantizer, RangeQuantizer)
    ]


@each_method
def test_inner_layers_get_the_methods_quantizers_and_the_ends_eight_bits(method):
    scheme = SCHEMES[method](3)
    model = quantize_apply(annotate(float_network('residual')), scheme=scheme)
    config = scheme.default_config()
    first, *inner, last = kernel_quantizers(model)
    assert first == last == SymmetricQuantizer(8)
    assert set(inner) == {config.kernel_quantizer(-1)}
    assert set(input_quantizers(model)) == {config.input_quantizer()}


@each_method
def test_a_scheme_takes_the_arguments_of_every_scheme(method):
    model = quantized(
        'residual',
        method,
        2,
        calibrated=False,
        boundary_bits=None,
        tensor_bits=None,
        layers={'behind_sum': 8},
        weight_bits=5,
    )
    *inner, behind_sum = kernel_quantizers(model)
    assert {quantizer.bits for quantizer in inner} == {5}
    assert behind_sum == SymmetricQuantizer(8)
    assert {quantizer.bits for quantizer in input_quantizers(model)} == {2}
    assert not any(
        isinstance(getattr(layer, 'quantizer', None), RangeQuantizer) for layer in model.layers
    )


@each_method
def test_a_config_is_serialized_with_all_it_says(method):
    config = SCHEMES[method](2, weight_bits=3).make_config(5, 4)
    for serialization in (keras.utils.legacy, keras.saving):
        data = serialization.serialize_keras_object(config)
        assert serialization.deserialize_keras_object(data) == config


@each_method
def test_depthwise_kernels_are_quantized_with_their_axes(method):
    model = quantized('depthwise', method, calibrated=False)
    _, first, _, second, _ = kernel_quantizers(model)
    for quantizer in (first, second):
        # One step serves a whole kernel.
        assert getattr(quantizer, 'channel_axis', None) in (None, (-2, -1))
    assert first == second


@each_method
@pytest.mark.parametrize('suffix', ['.keras', '.h5'])
def test_a_saved_model_predicts_as_before(method, suffix, tmp_path):
    model = quantized('batch_normalized', method)
    images = images_for(model, 8)
    model.save(tmp_path / f'model{suffix}')
    again = keras.models.load_model(tmp_path / f'model{suffix}')
    np.testing.assert_array_equal(
        again.predict(images, verbose=0), model.predict(images, verbose=0)
    )
    assert kernel_quantizers(again) == kernel_quantizers(model)
    assert input_quantizers(again) == input_quantizers(model)


@each_method
def test_calibration_sets_every_input_and_every_step(method):
    model = quantized('residual', method, calibrated=False)
    before = {layer.name: layer.get_weights() for layer in model.layers}
    tf_n2uq.calibrate(model, images_for(model), verbose=0)
    for layer in model.layers:
        if isinstance(layer, Quantize):
            assert any(
                np.any(a != b) for a, b in zip(before[layer.name], layer.get_weights(), strict=True)
            ), layer.name


@each_method
@pytest.mark.parametrize('name', ['depthwise', 'residual'])
def test_a_calibrated_network_follows_the_float_one(method, name):
    model = float_network(name)
    images = images_for(model, 64)
    expected = model.predict(images, verbose=0)
    got = quantized(name, method, 5).predict(images, verbose=0)
    # Kernels without rescaling change the size of what they give, but not what is said with it.
    assert np.corrcoef(got.ravel(), expected.ravel())[0, 1] > 0.9


@each_method
def test_a_network_learns(method):
    model = quantized('batch_normalized', method, 2)
    images = images_for(model, 64)
    labels = (images.mean(axis=(1, 2, 3)) > np.median(images.mean(axis=(1, 2, 3)))).astype(int)
    model.compile(
        keras.optimizers.Adam(1e-2), keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    )
    losses = model.fit(images, labels, batch_size=16, epochs=8, verbose=0).history['loss']
    assert np.all(np.isfinite(losses))
    assert losses[-1] < 0.8 * losses[0]


@each_method
def test_the_config_works_under_tfmots_own_scheme(method):
    config = SCHEMES[method](2).default_config()
    layer = keras.layers.Dense(6, activation='relu')
    annotated = tfmot.quantization.keras.quantize_annotate_layer(layer, config)
    model = keras.Sequential([annotated, keras.layers.Dense(2, name='float')])
    model.build((None, 5))
    with tfmot.quantization.keras.quantize_scope():
        quantized = quantize_apply(model)
    wrapper = next(layer for layer in quantized.layers if layer.name.startswith('quant_dense'))
    outputs = wrapper(np.random.default_rng(0).normal(size=(64, 5)).astype(np.float32))
    assert len(np.unique(outputs.numpy())) <= 4


@pytest.mark.parametrize('method', ['dorefa', 'pact'])
def test_a_normalization_takes_up_the_scale_of_a_kernel(method):
    model = quantized('batch_normalized', method, 5, calibrated=False)
    original = float_network('batch_normalized')
    before = original.get_layer('inner').outbound_nodes[0].layer
    layer = model.get_layer('quant_inner')
    after = layer.outbound_nodes[0].layer
    kernel = np.asarray(layer.layer.kernel)
    ((_, quantized_kernel),) = layer.quantized_kernels().items()
    gain = np.sum(kernel * quantized_kernel) / np.sum(np.square(quantized_kernel))
    assert gain < 0.5
    np.testing.assert_allclose(
        np.sqrt(after.moving_variance + after.epsilon) * gain,
        np.sqrt(before.moving_variance + before.epsilon),
        rtol=1e-4,
    )
    bias = np.asarray(layer.layer.bias)
    np.testing.assert_allclose(
        (after.moving_mean - bias) * gain, before.moving_mean - bias, rtol=1e-4, atol=1e-6
    )


def test_calibrating_twice_leaves_the_moving_variances():
    model = quantized('batch_normalized', 'dorefa')
    normalization = model.get_layer('quant_inner').outbound_nodes[0].layer
    variance = normalization.moving_variance.numpy()
    tf_n2uq.calibrate(model, images_for(model), verbose=0)
    np.testing.assert_array_equal(normalization.moving_variance, variance)


@each_method
@pytest.mark.parametrize('suffix', ['h5', 'keras'])
def test_nothing_moves_in_a_frozen_network(method, suffix, tmp_path):
    model = quantized('batch_normalized', method)
    model.trainable = False
    model.save(tmp_path / f'frozen.{suffix}')
    images = 3 * images_for(model)
    for frozen in (model, keras.models.load_model(tmp_path / f'frozen.{suffix}')):
        before = frozen.get_weights()
        frozen(images, training=True)
        for variable, value in zip(frozen.weights, before, strict=True):
            np.testing.assert_array_equal(variable, value, variable.name)
