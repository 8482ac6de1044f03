from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tests.quantizers.layers import Owner
from tf_n2uq.quantizers import PACTQuantizer
from tf_n2uq.quantizers.statistics import TensorStatistics


def built(bits=4):
    layer = Owner(PACTQuantizer(bits))
    layer(tf.ones([2]))
    return layer.quantizer, layer.quantizer_weights


def test_starts_clipping_at_two():
    quantizer, weights = built(2)
    np.testing.assert_array_equal(weights['clip_value'], [2])
    y = quantizer(tf.constant([-1.0, 0.3, 0.4, 1.6, 5.0]), False, weights=weights)
    np.testing.assert_allclose(y, [0, 0, 2 / 3, 4 / 3, 2], rtol=1e-6)


def test_levels_times_step_is_the_output():
    quantizer, weights = built(3)
    weights['clip_value'].assign([1.3])
    x = tf.random.normal([100])
    expected = quantizer(x, True, weights=weights)
    levels = quantizer.levels(x, weights).numpy()
    np.testing.assert_allclose(levels * quantizer.step(weights), expected, rtol=1e-6)


def test_calibration_clips_where_the_error_is_least():
    samples = np.random.default_rng(0).normal(0, 7, [4096, 1]).astype(np.float32)
    quantizer, weights = built(4)
    statistics = TensorStatistics(float(samples.min()), float(samples.max()), samples)
    calibrated = quantizer.calibrated(statistics)['clip_value']

    def error(clip):
        weights['clip_value'].assign(clip)
        y = quantizer(samples, False, weights=weights)
        return float(np.mean((y - np.maximum(samples, 0)) ** 2))

    assert error(calibrated) < min(error(calibrated * 0.7), error(calibrated * 1.4))


def test_the_gradient_of_the_clipping_value_is_chosen_by_name():
    x = tf.constant([-1.0, 0.9, 5.0])
    got = {}
    for gradient in ('paper', 'calibrated', 'published_n2uq'):
        layer = Owner(PACTQuantizer(2, gradient=gradient))
        with tf.GradientTape() as tape:
            y = layer(x, training=True)
        got[gradient] = float(tape.gradient(y, layer.quantizer_weights['clip_value'])[0])
    # 0.9 becomes 2/3, of which it is 0.2333 away, with a clipping value of 2.
    expected = {'paper': 1, 'calibrated': 1 - 0.2333 / 2, 'published_n2uq': 2 + 1 / 3}
    assert got == pytest.approx(expected, abs=1e-3)


def test_an_unknown_gradient_is_an_error_that_names_the_known_ones():
    with pytest.raises(ValueError, match="gradient: expected one of 'paper', 'calibrated', "):
        PACTQuantizer(2, gradient='learned')


def test_a_config_without_a_gradient_is_that_of_the_published_network():
    assert PACTQuantizer.from_config({'bits': 4}) == PACTQuantizer(4, 'published_n2uq')
