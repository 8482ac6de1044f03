from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tf_n2uq import ops

X = np.linspace(0, 1, 1001).astype(np.float32)


def floored(bits):
    return np.minimum(np.floor(X * 2**bits), 2**bits - 1)


EXPECTED = {
    'original': lambda bits: np.round(X * (2**bits - 1)) / (2**bits - 1),
    'modified': lambda bits: floored(bits) / 2**bits,
    'centered_symmetric': lambda bits: (floored(bits) + 0.5) / 2**bits,
    'centered_asymmetric': lambda bits: (floored(bits) + 0.5) / 2**bits,
}


@pytest.mark.parametrize('bits', [2, 3, 4, 8])
@pytest.mark.parametrize('levels', EXPECTED)
def test_levels_are_those_of_the_formula(levels, bits):
    y = ops.quantize_unit(X, bits, levels)
    np.testing.assert_allclose(y, EXPECTED[levels](bits), atol=1e-6)
    assert len(np.unique(y)) == 2**bits


def test_gradient_passes_inside_the_interval_alone():
    x = tf.constant([-0.1, 0.0, 0.4, 1.0, 1.1])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = ops.quantize_unit(x, 2, 'centered_asymmetric')
    np.testing.assert_array_equal(y, [0.125, 0.125, 0.375, 0.875, 0.875])
    np.testing.assert_array_equal(tape.gradient(y, x), [0, 1, 1, 1, 0])


@pytest.mark.parametrize('dtype', [tf.float16, tf.bfloat16, tf.float64])
def test_keeps_the_dtype(dtype):
    y = ops.quantize_unit(tf.cast(X, dtype), 3, 'modified')
    assert y.dtype == dtype


def test_an_unknown_scheme_is_an_error_that_names_the_known_ones():
    with pytest.raises(ValueError, match="levels: expected one of 'original'.*'centred'"):
        ops.unit_levels('centred')


def test_integer_input_is_named():
    with pytest.raises(TypeError, match='x: expected a floating point tensor, got int32'):
        ops.quantize_unit(tf.constant([1]), 2, 'original')
