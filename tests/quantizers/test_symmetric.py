"""The quantizer of 8-bit kernels."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from tf_n2uq.quantizers import SymmetricQuantizer


def test_the_largest_weight_of_each_channel_is_the_largest_integer():
    kernel = np.random.default_rng(0).normal(0, [1.0, 20.0], [64, 2]).astype(np.float32)
    integers, unit = SymmetricQuantizer(8).integers(kernel)
    integers, unit = integers.numpy(), unit.numpy()
    np.testing.assert_array_equal(np.abs(integers).max(axis=0), [127, 127])
    assert np.all(np.abs(integers * unit - kernel) <= 0.5001 * unit)


def test_the_gradient_is_the_identity():
    kernel = tf.constant([[0.1, 4.0], [-0.3, -2.0]])
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        y = SymmetricQuantizer(4)(kernel, True)
    np.testing.assert_array_equal(tape.gradient(y, kernel), np.ones([2, 2]))
