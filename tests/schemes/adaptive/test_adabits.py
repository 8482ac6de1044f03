"""One model for several bit-widths: what it shares, how it switches, what comes out of it."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tests.networks import annotate, float_network, images_for
from tf_n2uq._compat.keras_models import nodes_in_order, tensors_read
from tf_n2uq.layers import Quantize, QuantizedKernel, SwitchableBatchNormalization
from tf_n2uq.quantizers import AdaptiveQuantizer, SymmetricQuantizer

SCHEMES = {method.name: method.scheme for method in tf_n2uq.methods()}


def adaptive(name='dense_only', bits=(8, 4, 2), calibrated=True, **arguments):
    scheme = tf_n2uq.AdaBitsScheme(bits, **arguments)
    model = tfmot.quantization.keras.quantize_apply(annotate(float_network(name)), scheme=scheme)
    if calibrated:
        tf_n2uq.calibrate(model, images_for(model, 64), verbose=0)
    return model


def predictions(model, bits):
    tf_n2uq.set_bits(model, bits)
    return model.predict(images_for(model), verbose=0)


def by_name(model):
    return {variable.name: variable.numpy() for variable in model.weights}


@pytest.mark.parametrize('method', SCHEMES)
def test_at_a_bit_width_it_is_what_the_methods_scheme_makes(method):
    """The pieces are those of the method; nothing is quantized in another way."""
    network = annotate(float_network('depthwise'))
    scheme = tf_n2uq.AdaBitsScheme((5, 3), method=method)
    model = tfmot.quantization.keras.quantize_apply(network, scheme=scheme)
    for bits in (5, 3):
        alone = tfmot.quantization.keras.quantize_apply(network, scheme=SCHEMES[method](bits))
        single = tf_n2uq.extract(model, bits)
        assert [layer.get_config() for layer in single.layers] == [
            layer.get_config() for layer in alone.layers
        ]
        expected = by_name(alone)
        for name, value in by_name(single).items():
            np.testing.assert_allclose(value, expected[name], rtol=1e-6, err_msg=name)


def test_kernels_are_shared_and_the_rest_is_per_bit_width():
    model = adaptive('batch_normalized', (8, 6, 5, 4), method='n2uq', calibrated=False)
    kernels = [v for v in model.weights if v.name.endswith('/kernel:0')]
    assert len(kernels) == 5
    thresholds = [v.name for v in model.weights if v.name.endswith('intervals:0')]
    assert len(thresholds) == 3 * 3
    normalizations = [x for x in model.layers if isinstance(x, SwitchableBatchNormalization)]
    assert len(normalizations) == 3
    assert all(len(layer.normalizations) == 4 for layer in normalizations)


def test_the_ends_have_eight_bits_at_every_bit_width():
    model = adaptive(bits=(4, 2))
    first, *inner, last = [x for x in model.layers if isinstance(x, QuantizedKernel)]
    for layer in (first, last):
        assert layer.kernel_quantizers[0][1] == SymmetricQuantizer(8)
    for layer in inner:
        assert tuple(layer.kernel_quantizers[0][1].quantizers) == (4, 2)


def test_normalizations_start_as_copies_of_the_float_networks():
    network = float_network('batch_normalized')
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_mean.assign(tf.random.stateless_normal(layer.moving_mean.shape, (1, 2)))
    scheme = tf_n2uq.AdaBitsScheme((8, 4, 2))
    model = tfmot.quantization.keras.quantize_apply(annotate(network), scheme=scheme)
    switchable = [x for x in model.layers if isinstance(x, SwitchableBatchNormalization)]
    for layer in switchable:
        expected = network.get_layer(layer.name).moving_mean
        for each in layer.normalizations:
            np.testing.assert_array_equal(each.moving_mean, expected)


def test_set_bits_switches_calls_and_what_keras_has_compiled():
    model = adaptive()
    model.compile('sgd', 'mse')
    images = images_for(model)
    seen: dict[int, np.ndarray] = {}
    for bits in (8, 4, 2, 8):
        tf_n2uq.set_bits(model, bits)
        assert tf_n2uq.active_bits(model) == bits
        predicted = model.predict(images, verbose=0)
        np.testing.assert_allclose(predicted, model(images), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(predicted, tf_n2uq.extract(model, bits)(images), atol=1e-5)
        loss = model.evaluate(images, np.zeros_like(predicted), verbose=0)
        assert loss == pytest.approx(np.mean(predicted**2), rel=1e-4)
        np.testing.assert_array_equal(seen.setdefault(bits, predicted), predicted)
    assert np.abs(seen[8] - seen[2]).max() > 1e-3


@pytest.mark.parametrize('ending', ['.keras', ''])
def test_a_saved_model_has_all_bit_widths_and_the_active_one(tmp_path, ending):
    model = adaptive(method='n2uq')
    expected = {bits: predictions(model, bits) for bits in (8, 2, 4)}
    path = tmp_path / f'model{ending}'
    model.save(path)
    loaded = keras.models.load_model(path)
    assert tf_n2uq.bit_widths(loaded) == (8, 4, 2)
    assert tf_n2uq.active_bits(loaded) == 4
    for bits, values in expected.items():
        np.testing.assert_array_equal(predictions(loaded, bits), values)


def test_an_extracted_model_shares_nothing():
    model = adaptive()
    single = tf_n2uq.extract(model, 2)
    assert tf_n2uq.bit_widths(single) == ()
    before = predictions(model, 2)
    for variable in single.weights:
        variable.assign(tf.zeros_like(variable))
    np.testing.assert_array_equal(predictions(model, 2), before)


def test_calibration_gives_each_bit_width_values_of_its_own():
    model = adaptive(bits=(5, 2))
    clips = [v for v in model.weights if v.name.endswith('clip_value:0')]
    of = {bits: [v.numpy() for v in clips if f'_{bits}bit_' in v.name] for bits in (5, 2)}
    assert len(of[5]) == len(of[2]) == 3
    assert all(high > low for high, low in zip(of[5], of[2], strict=True))


def test_a_summary_is_of_the_active_bit_width():
    model = adaptive(calibrated=False)
    lines: list[str] = []
    tf_n2uq.set_bits(model, 2)
    tf_n2uq.summary(model, lines.append)
    (widths,) = (line for line in lines if line.startswith('bit-widths'))
    assert widths.endswith('8, 4, 2; shown at 2')
    (work,) = (line for line in lines if line.startswith('mult-adds'))
    assert '2×2' in work
    assert '4×4' not in work


def test_scale_and_offset_can_be_shared():
    model = adaptive(shared_affine=True)
    (gamma,) = (v for v in model.weights if 'gamma' in v.name)
    gamma.assign(gamma * 3.0)
    for bits in (8, 4, 2):
        expected = predictions(model, bits)
        single = tf_n2uq.extract(model, bits)
        np.testing.assert_allclose(single(images_for(model)), expected, rtol=1e-4, atol=1e-5)


def test_weight_only_leaves_inputs_at_eight_bits():
    model = adaptive(bits=(4, 2), weight_only=True)
    quantizers = [x.quantizer for x in model.layers if isinstance(x, Quantize)]
    assert {quantizer.bits for quantizer in quantizers} == {8}
    assert np.abs(predictions(model, 4) - predictions(model, 2)).max() > 1e-3


def test_single_layers_can_stay_at_one_bit_width_or_in_float():
    model = adaptive('batch_normalized', (4, 2), layers={'inner': 3, 'signed_input': None})
    inner = model.get_layer('quant_inner')
    assert [quantizer.bits for _, quantizer, _ in inner.kernel_quantizers] == [3]
    assert type(model.get_layer('signed_input')) is keras.layers.Conv2D
    behind = model.get_layer('quant_behind_leaky').kernel_quantizers[0][1]
    assert isinstance(behind, AdaptiveQuantizer)


@pytest.mark.parametrize('method', ['sat', 'lsq'])
def test_quantizers_that_do_not_switch_are_calibrated_too(method):
    model = adaptive('batch_normalized', (4, 2), method=method, layers={'inner': 3})
    scheme = SCHEMES[method](3)
    alone = tfmot.quantization.keras.quantize_apply(
        annotate(float_network('batch_normalized')), scheme=scheme
    )
    untouched = alone.get_layer('inner_thresholds').get_weights()
    found = model.get_layer('inner_thresholds').get_weights()
    assert any(np.abs(a - b).max() > 0 for a, b in zip(found, untouched, strict=True))
    for _, _, weights in model.get_layer('quant_inner').kernel_quantizers:
        assert all(np.abs(variable.numpy() - 1.0).max() > 1e-3 for variable in weights.values())


def test_the_methods_options_reach_it():
    scheme = tf_n2uq.AdaBitsScheme((4, 2), levels='centered_symmetric', rescale=None)
    config = scheme.default_config().configs[4]
    assert (config.levels, config.rescale) == ('centered_symmetric', None)
    with pytest.raises(TypeError, match="expected no options with method='n2uq', got levels"):
        tf_n2uq.AdaBitsScheme((4, 2), method='n2uq', levels='modified')
    with pytest.raises(TypeError, match='expected levels, rescale .* got weight_bits'):
        tf_n2uq.AdaBitsScheme((4, 2), weight_bits=4)


@pytest.mark.parametrize('new', [8, 5])
def test_a_bit_width_is_added_from_data_and_the_others_stay(new):
    model = adaptive('batch_normalized', (6, 3), method='n2uq', layers={'inner': 4})
    for variable in model.get_layer('inner_thresholds').weights:
        variable.assign(variable * 1.1)  # as if trained
    wider = tf_n2uq.add_bits(model, new, images_for(model, 64), verbose=0)
    assert set(tf_n2uq.bit_widths(wider)) == {6, 3, new}
    assert tf_n2uq.bit_widths(model) == (6, 3)
    for bits in (6, 3):
        np.testing.assert_array_equal(predictions(wider, bits), predictions(model, bits))
    assert predictions(wider, new).std() > 0


def test_statistics_are_the_average_over_the_data():
    model = adaptive('batch_normalized', (4, 2))
    tf_n2uq.set_bits(model, 2)
    layer = next(x for x in model.layers if isinstance(x, SwitchableBatchNormalization))
    kept = layer.at(4).moving_mean.numpy()
    (node,) = [node for node in nodes_in_order(model) if node.layer is layer]
    inputs = keras.Model(model.input, tensors_read(node)[0])
    batches = images_for(model, 64).reshape(4, 16, 8, 8, 3)
    for each in layer.normalizations:
        each.moving_mean.assign(each.moving_mean + 1.0)
    # The first normalization of the network: what enters it does not depend on training.
    expected = np.mean([np.mean(inputs(batch), axis=(0, 1, 2)) for batch in batches], axis=0)
    tf_n2uq.recalibrate_batch_norm(model, list(batches), verbose=0)
    np.testing.assert_allclose(layer.at(2).moving_mean, expected, rtol=1e-2, atol=1e-2)
    np.testing.assert_array_equal(layer.at(4).moving_mean, kept + 1.0)
    assert layer.at(2).momentum == 0.99
    assert len(layer.at(2).weights) == 4


@pytest.mark.parametrize(
    ('bits', 'message'),
    [
        ((4, 8), 'from the highest to the lowest'),
        ((8, 8, 4), 'each bit-width once'),
        ((16, 8), 'from 2 to 8, got 16'),
    ],
)
def test_bit_widths_out_of_order_are_refused(bits, message):
    with pytest.raises(ValueError, match=message):
        tf_n2uq.AdaBitsScheme(bits)


def test_an_unknown_method_is_told_the_known_ones():
    with pytest.raises(ValueError, match="method: expected one of 'dorefa', .*, got 'dsq'"):
        tf_n2uq.AdaBitsScheme((8, 4), method='dsq')


@pytest.mark.parametrize('function', [tf_n2uq.set_bits, tf_n2uq.extract])
def test_a_bit_width_that_is_not_there_is_told_those_that_are(function):
    model = adaptive(calibrated=False)
    with pytest.raises(ValueError, match='which are 8, 4, 2; got 3'):
        function(model, 3)
    with pytest.raises(ValueError, match='has none to switch.*AdaBitsScheme'):
        function(float_network('dense_only'), 4)
    with pytest.raises(TypeError, match='expected a tf_keras model'):
        function('model', 4)


def test_what_cannot_be_added_is_said():
    model = adaptive(bits=(8, 4), calibrated=False)
    with pytest.raises(ValueError, match='does not have yet, got 4; choose another one than 8, 4'):
        tf_n2uq.add_bits(model, 4, images_for(model))
    only = adaptive(bits=(8,), calibrated=False)
    with pytest.raises(ValueError, match='with 8 only'):
        tf_n2uq.add_bits(only, 4, images_for(only))
    with pytest.raises(ValueError, match='without any'):
        tf_n2uq.recalibrate_batch_norm(float_network('several_readers'), None)
