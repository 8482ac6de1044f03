"""The base class of quantizers with a learned step, by the example of LSQ."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tests.quantizers.layers import Owner
from tf_n2uq.quantizers import LSQInputQuantizer, LSQPlusInputQuantizer, LSQQuantizer
from tf_n2uq.quantizers.learned_step import start_step


@pytest.mark.parametrize('kind', [LSQQuantizer, LSQInputQuantizer, LSQPlusInputQuantizer])
@pytest.mark.parametrize('bits', [2, 5])
def test_the_step_starts_as_for_a_mean_magnitude_of_one(kind, bits):
    layer = Owner(kind(bits))
    layer(tf.ones([2]))
    highest = layer.quantizer.highest(layer.quantizer.start_lowest())
    expected = start_step(np.ones([3]), highest)
    np.testing.assert_allclose(layer.quantizer_weights['step_size'], [expected], rtol=1e-6)
    assert expected == pytest.approx(2 / np.sqrt(highest))


def test_zeros_have_a_start_step_above_zero():
    assert start_step(np.zeros([3]), 7) > 0


def test_a_step_that_training_has_driven_below_zero_is_read_as_it_acts():
    layer = Owner(LSQQuantizer(4))
    x = tf.constant([-1.0, 1.0])
    layer(x)
    layer.quantizer_weights['step_size'].assign([-0.5])
    step = float(layer.quantizer.step(layer.quantizer_weights))
    levels = layer.quantizer.levels(x, layer.quantizer_weights)
    assert step > 0
    np.testing.assert_allclose(layer(x), levels.numpy() * step, rtol=1e-6)
