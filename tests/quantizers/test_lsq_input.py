from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tests.quantizers.layers import Owner
from tf_n2uq.quantizers import LSQInputQuantizer
from tf_n2uq.quantizers.statistics import TensorStatistics


def built(quantizer):
    layer = Owner(quantizer)
    layer(tf.ones([2]))
    return quantizer, layer.quantizer_weights


def statistics_of(samples):
    samples = np.asarray(samples, np.float32).reshape(-1, 1)
    return TensorStatistics(float(samples.min()), float(samples.max()), samples)


def test_an_input_starts_unsigned_and_does_not_learn_its_lowest_level():
    layer = Owner(LSQInputQuantizer(2), name='owner')
    y = layer(tf.constant([-9.0, 9.0]))
    assert y[0] == 0 < y[1]
    assert [weight.name for weight in layer.trainable_weights] == ['owner/tensor_step_size:0']


@pytest.mark.parametrize(
    ('low', 'high', 'lowest'), [(0, 5, 0), (-5, 5, -8), (-0.05, 5, 0), (-5, 0, -8)]
)
def test_calibration_takes_signed_levels_for_an_input_where_they_fit_better(low, high, lowest):
    samples = np.random.default_rng(0).uniform(low, high, 4096)
    quantizer, weights = built(LSQInputQuantizer(4))
    for name, value in quantizer.calibrated(statistics_of(samples)).items():
        weights[name].assign(value)
    assert float(weights['lowest'][0]) == lowest
    levels = quantizer.levels(tf.constant([-99.0, 0.0, 99.0]), weights)
    np.testing.assert_array_equal(levels, [lowest, 0, lowest + 15])


def test_a_tensor_of_zeros_gives_a_step_that_can_be_used():
    quantizer, weights = built(LSQInputQuantizer(4))
    calibrated = quantizer.calibrated(statistics_of(np.zeros(10)))
    weights['step_size'].assign(calibrated['step_size'])
    assert quantizer.step(weights) > 0
    assert np.all(np.isfinite(quantizer(tf.ones([2]), False, weights=weights)))
