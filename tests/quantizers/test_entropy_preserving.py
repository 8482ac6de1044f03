"""N2UQ's quantizer of kernels."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tf_n2uq.quantizers import EntropyPreservingQuantizer


@pytest.mark.parametrize('bits', [2, 3])
def test_levels_are_about_equally_likely(bits):
    kernel = np.random.default_rng(0).laplace(size=[4096, 1]).astype(np.float32)
    integers, _ = EntropyPreservingQuantizer(bits).integers(kernel)
    _, counts = np.unique(integers, return_counts=True)
    shares = counts / counts.sum()
    assert -np.sum(shares * np.log2(shares)) > 0.9 * bits


def test_each_channel_has_the_scale_and_the_gradient_of_its_own_mean():
    kernel = tf.constant([[0.1, 4.0], [-0.3, -2.0]])
    quantizer = EntropyPreservingQuantizer(2)
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        y = quantizer(kernel, True)
    scale = 1.5 * np.array([0.2, 3.0])
    np.testing.assert_allclose(quantizer.integers(kernel)[1], [scale / 3], rtol=1e-6)
    expected = np.broadcast_to(1 / scale, [2, 2])
    np.testing.assert_allclose(tape.gradient(y, kernel), expected, rtol=1e-6)
