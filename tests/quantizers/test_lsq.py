from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tests.quantizers.layers import Owner
from tf_n2uq.quantizers import LSQQuantizer
from tf_n2uq.quantizers.statistics import TensorStatistics


def built(quantizer):
    layer = Owner(quantizer)
    layer(tf.ones([2]))
    return quantizer, layer.quantizer_weights


def statistics_of(samples):
    samples = np.asarray(samples, np.float32).reshape(-1, 1)
    return TensorStatistics(float(samples.min()), float(samples.max()), samples)


@pytest.mark.parametrize(('signed', 'lowest', 'highest'), [(True, -4, 3), (False, 0, 7)])
def test_levels_span_what_bits_can_hold(signed, lowest, highest):
    quantizer, weights = built(LSQQuantizer(3, signed))
    weights['step_size'].assign([0.5])
    x = tf.constant([-9.0, -0.6, 0.0, 0.7, 9.0])
    levels = quantizer.levels(x, weights).numpy()
    assert (levels.min(), levels.max()) == (lowest, highest)
    np.testing.assert_allclose(quantizer(x, True, weights=weights), levels * 0.5)
    assert quantizer.step(weights) == 0.5


@pytest.mark.parametrize(('signed', 'highest'), [(True, 7), (False, 15)])
def test_calibration_gives_the_start_value_of_the_paper(signed, highest):
    samples = np.random.default_rng(0).normal(0, 3, 4096)
    (step,) = LSQQuantizer(4, signed).calibrated(statistics_of(samples))['step_size']
    np.testing.assert_allclose(step, 2 * np.mean(np.abs(samples)) / np.sqrt(highest), rtol=1e-5)


def test_the_step_has_the_gradient_scale_of_the_paper():
    quantizer, weights = built(LSQQuantizer(4))
    x = tf.fill([25, 4], 100.0)
    with tf.GradientTape() as tape:
        y = quantizer(x, True, weights=weights)
    (gradient,) = tape.gradient(y, weights['step_size'])
    np.testing.assert_allclose(gradient, 100 * 7 / np.sqrt(100 * 7), rtol=1e-6)


def test_integers_times_unit_is_the_kernel_bit_by_bit():
    quantizer, weights = built(LSQQuantizer(4))
    kernel = np.random.default_rng(0).normal(0, 5, [3, 3, 4, 2]).astype(np.float32)
    integers, unit = quantizer.integers(kernel, weights)
    assert unit.shape == (1, 1, 1, 1)
    assert (integers.numpy().min(), integers.numpy().max()) == (-8, 7)
    quantized = quantizer(kernel, False, weights=weights)
    np.testing.assert_array_equal(tf.cast(integers, tf.float32) * unit, quantized)
