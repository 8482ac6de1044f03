from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tf_n2uq import ops
from tf_n2uq.quantizers import ActivationQuantizer, DoReFaQuantizer

KERNEL = np.random.default_rng(0).normal(0, 0.2, [3, 3, 4, 2]).astype(np.float32)


@pytest.mark.parametrize('training', [True, False, None, tf.constant(True)])
@pytest.mark.parametrize('levels', ['original', 'modified', 'centered_symmetric'])
@pytest.mark.parametrize('rescale', [None, 'constant', 'stddev'])
def test_computes_its_function_in_training_and_inference(levels, rescale, training):
    quantizer = DoReFaQuantizer(3, levels, rescale)
    assert quantizer.build(KERNEL.shape, 'kernel', None) == {}
    expected = ops.dorefa_elementwise(KERNEL, 3, levels, rescale)
    np.testing.assert_allclose(quantizer(KERNEL, training), expected, rtol=1e-6)
    integers, unit = quantizer.integers(KERNEL)
    np.testing.assert_array_equal(tf.cast(integers, tf.float32) * unit, expected)


def test_an_asymmetric_one_is_for_tensors_between_zero_and_one():
    quantizer = DoReFaQuantizer(2, levels='centered_asymmetric')
    x = tf.constant([-1.0, 0.0, 0.3, 0.6, 0.9, 2.0])
    y = quantizer(x, True, weights={})
    np.testing.assert_array_equal(y, [0.125, 0.125, 0.375, 0.625, 0.875, 0.875])


def test_rescaling_uses_the_axes_of_the_channels():
    kernel = np.random.default_rng(0).normal(size=[3, 3, 4, 2]).astype(np.float32)
    wide = DoReFaQuantizer(4, rescale='constant', channel_axis=(-2, -1))
    narrow = DoReFaQuantizer(4, rescale='constant')
    ratio = narrow(kernel, False).numpy() / wide(kernel, False).numpy()
    np.testing.assert_allclose(ratio, 2.0, rtol=1e-5)


def test_bias_divisor_is_the_factor_of_the_rescaling():
    assert DoReFaQuantizer(4).bias_divisor(KERNEL) is None
    divisor = DoReFaQuantizer(4, rescale='stddev').bias_divisor(KERNEL)
    rescaled = DoReFaQuantizer(4, rescale='stddev')(KERNEL, False)
    np.testing.assert_allclose(rescaled / divisor, DoReFaQuantizer(4)(KERNEL, False), rtol=1e-6)


@pytest.mark.parametrize(
    ('rescale', 'kept'), [(None, False), ('constant', False), ('stddev', True)]
)
def test_the_scale_of_the_kernel_is_kept_where_its_deviation_is(rescale, kept):
    assert DoReFaQuantizer(4, rescale=rescale).keeps_scale == kept


@pytest.mark.parametrize(
    ('levels', 'odd'), [('original', True), ('centered_symmetric', True), ('modified', False)]
)
def test_all_integers_are_odd_except_of_modified_levels(levels, odd):
    quantizer = DoReFaQuantizer(4, levels)
    kernel = tf.constant(np.random.default_rng(0).normal(size=(3, 3, 4, 5)), tf.float32)
    assert quantizer.has_odd_integers == odd
    assert bool(np.all(quantizer.integers(kernel)[0] % 2 == 1)) == odd


def test_unknown_names_are_errors_that_name_the_known_ones():
    known = "'original', 'modified', 'centered_symmetric', 'centered_asymmetric'"
    with pytest.raises(ValueError, match=f"levels: expected one of {known}, got 'centered'"):
        DoReFaQuantizer(2, levels='centered')
    with pytest.raises(ValueError, match="rescale: .*'constant', 'stddev', got 'std'"):
        DoReFaQuantizer(2, rescale='std')


def test_tensors_between_zero_and_one_are_not_rescaled():
    with pytest.raises(ValueError, match="rescale: expected None with levels='centered_asymm"):
        DoReFaQuantizer(2, 'centered_asymmetric', 'stddev')


def test_an_integer_file_cannot_have_it_for_an_activation():
    quantizer = DoReFaQuantizer(4, 'centered_asymmetric')
    assert 0 not in quantizer(tf.linspace(-1.0, 1.0, 99), False).numpy()
    assert not isinstance(quantizer, ActivationQuantizer)
    with pytest.raises(ValueError, match='for kernels'):
        quantizer.integers(KERNEL)
