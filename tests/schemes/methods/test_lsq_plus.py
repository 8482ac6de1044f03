"""LSQ+'s scheme: its quantizers, its start values in a network, and the formats it is saved in."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tests.networks import annotate, float_network, images_for
from tf_n2uq.layers import Quantize, QuantizedKernel
from tf_n2uq.quantizers import LSQPlusInputQuantizer, LSQPlusQuantizer

quantize_apply = tfmot.quantization.keras.quantize_apply


@pytest.fixture(scope='module')
def model():
    """A calibrated network of 4 bits."""
    quantized = quantize_apply(
        annotate(float_network('batch_normalized')), scheme=tf_n2uq.LSQPlusScheme(4)
    )
    tf_n2uq.calibrate(quantized, images_for(quantized, 128), verbose=0)
    return quantized


def inputs_of(model):
    return {
        layer.name.removesuffix('_thresholds'): layer
        for layer in model.layers
        if isinstance(layer, Quantize) and isinstance(layer.quantizer, LSQPlusInputQuantizer)
    }


def test_the_config_has_the_methods_quantizers():
    config = tf_n2uq.LSQPlusScheme(3, weight_bits=2).default_config()
    assert config == tf_n2uq.LSQPlusQuantizeConfig(3, weight_bits=2)
    assert config.kernel_quantizer(-1) == LSQPlusQuantizer(2)
    assert config.input_quantizer() == LSQPlusInputQuantizer(3)
    assert tf_n2uq.method('lsq_plus').scheme is tf_n2uq.LSQPlusScheme


def test_inputs_get_the_offset_that_their_activation_needs(model):
    lowest = {
        name: float(layer.quantizer.lowest(layer.quantizer_weights))
        for name, layer in inputs_of(model).items()
    }
    assert lowest['inner'] == 0
    assert -15 < lowest['signed_input'] < 0
    # A leaky ReLU with a slope of 0.3 leaves less below zero than above.
    assert -7 < lowest['behind_leaky'] < 0


def test_kernels_start_at_the_papers_value(model):
    for layer in model.layers:
        if isinstance(layer, QuantizedKernel) and layer.kernel_quantizers[0][2]:
            ((_, _, weights),) = layer.kernel_quantizers
            kernel = np.asarray(layer.layer.kernel, np.float64)
            mean, sigma = kernel.mean(), kernel.std()
            expected = max(abs(mean - 3 * sigma), abs(mean + 3 * sigma)) / 8
            np.testing.assert_allclose(weights['step_size'], [expected], rtol=1e-5)


@pytest.mark.parametrize('ending', ['.keras', '.h5', ''])
def test_a_saved_model_has_its_steps_and_offsets(model, ending, tmp_path):
    path = tmp_path / f'model{ending}'
    model.save(path)
    loaded = keras.models.load_model(path)
    images = images_for(model)
    np.testing.assert_array_equal(
        loaded.predict(images, verbose=0), model.predict(images, verbose=0)
    )
    for name, layer in inputs_of(loaded).items():
        expected = inputs_of(model)[name].get_weights()
        np.testing.assert_array_equal(layer.get_weights(), expected)


def test_offsets_learn(model):
    trained = keras.models.clone_model(model)
    trained.set_weights(model.get_weights())
    trained.compile(keras.optimizers.Adam(1e-2), 'mse')
    images = images_for(trained)
    trained.fit(images, np.zeros((len(images), 4)), epochs=2, verbose=0)
    moved = {
        name: float(layer.quantizer_weights['offset'][0])
        - float(inputs_of(model)[name].quantizer_weights['offset'][0])
        for name, layer in inputs_of(trained).items()
    }
    assert moved['signed_input'] != 0
    assert moved['behind_leaky'] != 0
