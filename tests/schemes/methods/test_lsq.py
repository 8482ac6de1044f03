"""LSQ's scheme: its quantizers, and their start values in a network."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow_model_optimization as tfmot

import tf_n2uq
from tests.networks import annotate, float_network, images_for
from tf_n2uq.layers import Quantize, QuantizedKernel
from tf_n2uq.quantizers import LSQInputQuantizer, LSQQuantizer


def quantized(name):
    return tfmot.quantization.keras.quantize_apply(
        annotate(float_network(name)), scheme=tf_n2uq.LSQScheme(4)
    )


def learned_kernels(model):
    """The layers whose kernels have steps, with their variables."""
    for layer in model.layers:
        if isinstance(layer, QuantizedKernel) and layer.kernel_quantizers[0][2]:
            ((_, _, weights),) = layer.kernel_quantizers
            yield layer, weights


def test_the_config_has_the_methods_quantizers():
    config = tf_n2uq.LSQScheme(3, weight_bits=2).default_config()
    assert config.kernel_quantizer((-2, -1)) == LSQQuantizer(2, signed=True)
    assert config.input_quantizer() == LSQInputQuantizer(3)


def test_steps_of_kernels_start_from_the_kernels_before_and_in_calibration():
    model = quantized('residual')
    expected = {}
    for layer, weights in learned_kernels(model):
        expected[layer.name] = 2 * np.mean(np.abs(layer.layer.kernel)) / np.sqrt(7)
        assert float(weights['step_size'][0]) == pytest.approx(expected[layer.name], rel=1e-5)
        weights['step_size'].assign([9.0])
    assert expected
    tf_n2uq.calibrate(model, images_for(model), verbose=0)
    for layer, weights in learned_kernels(model):
        assert float(weights['step_size'][0]) == pytest.approx(expected[layer.name], rel=1e-5)


def test_inputs_that_may_be_negative_get_signed_steps():
    model = quantized('batch_normalized')
    tf_n2uq.calibrate(model, images_for(model, 128), verbose=0)
    lowest = {
        layer.name: float(layer.quantizer_weights['lowest'][0])
        for layer in model.layers
        if isinstance(layer, Quantize) and isinstance(layer.quantizer, LSQInputQuantizer)
    }
    assert lowest['inner_thresholds'] == 0
    assert lowest['signed_input_thresholds'] == -8
