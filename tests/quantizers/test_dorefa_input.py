from __future__ import annotations

import numpy as np
import tensorflow as tf

from tests.quantizers.layers import Owner
from tf_n2uq.quantizers import DoReFaInputQuantizer
from tf_n2uq.quantizers.statistics import TensorStatistics


def test_starts_as_in_the_paper_and_learns_no_clipping_value():
    layer = Owner(DoReFaInputQuantizer(2))
    y = layer(tf.constant([-1.0, 0.1, 0.2, 0.6, 5.0]))
    np.testing.assert_allclose(y, [0, 0, 1 / 3, 2 / 3, 1], rtol=1e-6)
    assert layer.trainable_weights == []


def test_gradient_passes_inside_alone():
    layer = Owner(DoReFaInputQuantizer(2))
    x = tf.constant([-1.0, 0.1, 0.9, 1.1])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = layer(x, training=True)
    np.testing.assert_array_equal(tape.gradient(y, x), [0, 1, 1, 0])


def test_calibration_finds_where_the_activations_lie():
    samples = np.random.default_rng(0).uniform(-3, 7, [4096, 1]).astype(np.float32)
    statistics = TensorStatistics(-3.0, 7.0, samples)
    (clip,) = DoReFaInputQuantizer(4).calibrated(statistics)['clip_value']
    assert 6 < clip <= 7.01
