"""LSQ+'s quantizer of activations: its levels, start values and variables."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tests.quantizers.layers import Owner
from tf_n2uq.quantizers import LSQPlusInputQuantizer
from tf_n2uq.quantizers.statistics import TensorStatistics


def built(quantizer):
    layer = Owner(quantizer, name='owner')
    layer(tf.ones([2]))
    return quantizer, layer


def statistics_of(samples):
    samples = np.asarray(samples, np.float32).reshape(-1, 1)
    return TensorStatistics(float(samples.min()), float(samples.max()), samples)


def calibrated(bits, samples):
    """A quantizer of activations, calibrated to samples, and its variables."""
    quantizer, layer = built(LSQPlusInputQuantizer(bits))
    for name, value in quantizer.calibrated(statistics_of(samples)).items():
        layer.quantizer_weights[name].assign(value)
    return quantizer, layer.quantizer_weights


def squared_error(quantizer, weights, samples):
    samples = np.asarray(samples, np.float32)
    return float(np.mean((quantizer(samples, False, weights=weights).numpy() - samples) ** 2))


def test_an_input_starts_without_an_offset_and_learns_both():
    _, layer = built(LSQPlusInputQuantizer(2))
    names = {weight.name for weight in layer.trainable_weights}
    assert names == {'owner/tensor_step_size:0', 'owner/tensor_offset:0'}
    assert float(layer.quantizer_weights['offset'][0]) == 0
    y = layer(tf.constant([-9.0, 9.0]))
    assert y[0] == 0 < y[1]


@pytest.mark.parametrize('bits', range(2, 8))
def test_every_lowest_level_can_be(bits):
    quantizer, layer = built(LSQPlusInputQuantizer(bits))
    weights, highest = layer.quantizer_weights, 2**bits - 1
    weights['step_size'].assign([0.25])
    x = tf.linspace(-99.0, 99.0, 9999)
    for lowest in range(-highest, 1):
        weights['offset'].assign([lowest * 0.25])
        levels = quantizer.levels(x, weights).numpy()
        np.testing.assert_array_equal(np.unique(levels), range(lowest, lowest + highest + 1))
        np.testing.assert_array_equal(quantizer(x, False, weights=weights), levels * 0.25)
    assert float(quantizer.step(weights)) == 0.25


@pytest.mark.parametrize(
    ('name', 'lowest'), [('relu', 0), ('swish', -1), ('normal', -7), ('negative', -15)]
)
def test_calibration_begins_where_the_samples_do(name, lowest):
    normal = np.random.default_rng(0).normal(size=4096)
    samples = {
        'relu': np.maximum(normal, 0),
        'swish': 2 * normal / (1 + np.exp(-2 * normal)),
        'normal': normal,
        'negative': -np.abs(normal),
    }[name]
    quantizer, weights = calibrated(4, samples)
    assert abs(float(quantizer.lowest(weights)) - lowest) <= 1
    offset, step = float(weights['offset'][0]), float(weights['step_size'][0])
    assert offset / step == pytest.approx(float(quantizer.lowest(weights)), abs=1e-5)


@pytest.mark.parametrize('bits', [2, 3, 5])
def test_no_step_and_offset_near_the_calibrated_ones_fit_much_better(bits):
    generator = np.random.default_rng(1)
    normal = generator.normal(0.3, 1, 8192)
    samples = normal / (1 + np.exp(-normal))
    quantizer, weights = calibrated(bits, samples)
    best = squared_error(quantizer, weights, samples)
    step, lowest = float(weights['step_size'][0]), float(quantizer.lowest(weights))
    for factor in (0.9, 0.97, 1.0, 1.03, 1.1):
        for moved in (-1, 0, 1):
            weights['step_size'].assign([factor * step])
            weights['offset'].assign([factor * step * min(0.0, lowest + moved)])
            assert squared_error(quantizer, weights, samples) >= 0.99 * best


def test_a_tensor_of_zeros_gives_a_step_that_can_be_used():
    quantizer, weights = calibrated(4, np.zeros(10))
    assert quantizer.step(weights) > 0
    assert np.all(np.isfinite(quantizer(tf.ones([2]), False, weights=weights)))
