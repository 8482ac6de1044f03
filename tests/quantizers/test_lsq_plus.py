"""LSQ+'s quantizer of kernels: LSQ's, with another start value."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tests.quantizers.layers import Owner
from tf_n2uq.quantizers import LSQPlusQuantizer, LSQQuantizer
from tf_n2uq.quantizers.statistics import TensorStatistics


def built(quantizer):
    layer = Owner(quantizer, name='owner')
    layer(tf.ones([2]))
    return quantizer, layer


def statistics_of(samples):
    samples = np.asarray(samples, np.float32).reshape(-1, 1)
    return TensorStatistics(float(samples.min()), float(samples.max()), samples)


def test_kernels_are_those_of_lsq():
    kernel = np.random.default_rng(0).normal(0, 0.1, [3, 3, 4, 8]).astype(np.float32)
    plus, layer = built(LSQPlusQuantizer(3))
    weights = {'step_size': tf.Variable([0.07])}
    np.testing.assert_array_equal(
        plus(kernel, True, weights=weights), LSQQuantizer(3)(kernel, True, weights=weights)
    )
    integers, unit = plus.integers(kernel, weights)
    assert (integers.numpy().min(), integers.numpy().max()) == (-4, 3)
    np.testing.assert_allclose(unit, np.full([1, 1, 1, 1], 0.07), rtol=1e-6)
    assert list(layer.quantizer_weights) == ['step_size']


@pytest.mark.parametrize('mean', [-0.2, 0.0, 0.3])
def test_a_kernels_step_starts_at_the_papers_value(mean):
    samples = np.random.default_rng(0).normal(mean, 0.1, 4096)
    (step,) = LSQPlusQuantizer(4).calibrated(statistics_of(samples))['step_size']
    sigma = np.std(samples)
    ends = [abs(np.mean(samples) - 3 * sigma), abs(np.mean(samples) + 3 * sigma)]
    np.testing.assert_allclose(step, max(ends) / 8, rtol=1e-5)


def test_a_kernel_of_zeros_gives_a_step_that_can_be_used():
    (step,) = LSQPlusQuantizer(4).calibrated(statistics_of(np.zeros(10)))['step_size']
    assert step > 0
