from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tf_n2uq import ops

KERNEL = np.random.default_rng(0).normal(0, 0.1, [3, 3, 4, 5]).astype(np.float32)
QUANTIZED = np.sign(KERNEL)


def test_stddev_gives_the_deviation_of_the_float_kernel():
    factor = ops.rescale_factor(KERNEL, QUANTIZED, 'stddev')
    np.testing.assert_allclose(np.std(QUANTIZED * factor), np.std(KERNEL), rtol=1e-5)


@pytest.mark.parametrize(
    ('shape', 'channel_axis', 'fan_out'),
    [
        ((3, 3, 4, 5), -1, 45),
        ((3, 3, 4, 5), -2, 36),
        ((3, 3, 4, 5), (-2, -1), 180),
        ((3, 4, 5), -1, 15),
        ((7, 5), -1, 5),
    ],
)
def test_constant_depends_on_output_channels_and_positions_alone(shape, channel_axis, fan_out):
    kernel = np.random.default_rng(0).normal(0, 3.0, shape).astype(np.float32)
    quantized = np.sign(kernel)
    factor = ops.rescale_factor(kernel, quantized, 'constant', channel_axis)
    expected = 1 / np.sqrt(fan_out * np.var(quantized, ddof=1))
    np.testing.assert_allclose(factor, expected, rtol=1e-5)


def test_none_is_one_and_no_factor_has_a_gradient():
    assert float(ops.rescale_factor(KERNEL, QUANTIZED, None)) == 1
    kernel = tf.constant(KERNEL)
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        factor = ops.rescale_factor(kernel, tf.sign(kernel), 'stddev')
    assert tape.gradient(factor, kernel) is None


@pytest.mark.parametrize('rescale', ['constant', 'stddev'])
def test_a_kernel_of_one_value_is_not_rescaled(rescale):
    assert float(ops.rescale_factor(KERNEL, np.ones_like(KERNEL), rescale)) == 1


def test_an_unknown_rescaling_is_an_error_that_names_the_known_ones():
    with pytest.raises(ValueError, match="rescale: expected None or one of 'constant', 'stddev'"):
        ops.check_rescale('std')
