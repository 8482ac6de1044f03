import numpy as np
import pytest
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tests.networks import annotate, quantize
from tf_n2uq.schemes.calibrate import calibrate

layers = keras.layers
IMAGES = np.random.default_rng(0).normal(size=(64, 4)).astype(np.float32)


def network():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            layers.Dense(6, input_shape=(4,), activation='relu', name='first'),
            layers.Dense(6, activation='relu', name='inner'),
            layers.Dense(3, name='last'),
        ]
    )


def adaptive(layers_of_one_width=None):
    scheme = tf_n2uq.AdaBitsScheme((4, 2), method='pact', layers=layers_of_one_width)
    return tfmot.quantization.keras.quantize_apply(annotate(network()), scheme=scheme)


def test_it_is_public():
    assert tf_n2uq.calibrate is calibrate


def test_a_calibrated_model_is_nearer_to_the_float_one():
    images = 20 * IMAGES
    expected = network()(images).numpy()
    model = quantize(network(), bits=4)
    before = np.mean(np.square(model(images) - expected))
    calibrate(model, images, verbose=0)
    assert np.mean(np.square(model(images) - expected)) < 0.1 * before


def test_each_bit_width_is_calibrated_by_itself_and_the_active_one_stays():
    model = adaptive()
    tf_n2uq.set_bits(model, 2)
    calibrate(model, IMAGES, verbose=0)
    assert tf_n2uq.active_bits(model) == 2
    clips = [
        tf_n2uq.extract(model, bits).get_layer('inner_thresholds').get_weights()[0]
        for bits in (4, 2)
    ]
    # Fewer levels are spread over less.
    assert float(np.squeeze(clips[0])) > float(np.squeeze(clips[1])) > 0


def test_biases_that_bit_widths_share_stay_and_those_of_one_width_do_not():
    model = adaptive()
    before = model.get_layer('quant_inner').layer.bias.numpy()
    calibrate(model, IMAGES, verbose=0)
    np.testing.assert_array_equal(model.get_layer('quant_inner').layer.bias, before)
    single = quantize(network(), bits=2)
    calibrate(single, IMAGES, verbose=0)
    assert np.any(single.get_layer('quant_inner').layer.bias.numpy() != before)


def test_quantizers_that_do_not_switch_are_calibrated_in_an_adaptive_model():
    model = adaptive({'inner': 3})
    before = model.get_layer('inner_thresholds').get_weights()
    calibrate(model, IMAGES, verbose=0)
    after = model.get_layer('inner_thresholds').get_weights()
    assert not np.allclose(before[0], after[0])


def test_the_seed_chooses_the_samples():
    images = np.random.default_rng(1).normal(size=(4000, 4)).astype(np.float32)
    results = []
    for seed in (0, 0, 1):
        model = quantize(network(), bits=2)
        calibrate(model, [images], verbose=0, seed=seed)
        results.append(np.concatenate([weight.ravel() for weight in model.get_weights()]))
    np.testing.assert_array_equal(results[0], results[1])
    assert np.any(results[0] != results[2])


def test_a_float_model_is_refused():
    with pytest.raises(ValueError, match='model: expected a quantized model, got the float model'):
        calibrate(network(), IMAGES)
