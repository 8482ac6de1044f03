from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf

from tf_n2uq import ops


@pytest.mark.parametrize('axis', [-1, 3, (-2, -1), (2,)])
@hypothesis.settings(max_examples=20)
@hypothesis.given(bits=st.integers(2, 8), seed=st.integers(0, 99), scale=st.floats(1e-6, 1e6))
def test_kernel_is_within_half_a_step_and_the_largest_value_of_a_channel_is_exact(
    axis, bits, seed, scale
):
    kernel = (np.random.default_rng(seed).standard_normal([2, 3, 4, 5]) * scale).astype(np.float32)
    integers, unit = ops.symmetric_integers(kernel, bits, axis)
    quantized = ops.symmetric(kernel, bits, axis)
    np.testing.assert_array_equal(tf.cast(integers, tf.float32) * unit, quantized)
    largest = 2 ** (bits - 1) - 1
    assert integers.dtype == tf.int32
    channels = [a % 4 for a in ([axis] if isinstance(axis, int) else axis)]
    others = tuple(a for a in range(4) if a not in channels)
    np.testing.assert_array_equal(np.max(np.abs(integers), axis=others), largest)
    assert np.all(np.abs(quantized - kernel) <= unit * 0.50001)


def test_gradient_is_the_identity_also_at_the_largest_value():
    kernel = tf.constant(np.random.default_rng(0).standard_normal([3, 4]).astype(np.float32))
    upstream = tf.constant(np.random.default_rng(1).standard_normal([3, 4]).astype(np.float32))
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        quantized = ops.symmetric(kernel, 8)
    np.testing.assert_array_equal(tape.gradient(quantized, kernel, upstream), upstream)


def test_grid_is_that_of_tensorflows_narrow_range_fake_quantization():
    kernel = np.random.default_rng(0).standard_normal([3, 3, 4, 5]).astype(np.float32)
    largest = np.abs(kernel).max((0, 1, 2))
    expected = tf.quantization.fake_quant_with_min_max_vars_per_channel(
        kernel, -largest, largest, num_bits=8, narrow_range=True
    )
    np.testing.assert_allclose(ops.symmetric(kernel, 8), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('value', [0.0, 1e-39, 1e-45])
@pytest.mark.parametrize('jit_compile', [False, True])
def test_a_channel_of_next_to_nothing_gives_finite_numbers(value, jit_compile):
    kernel = np.ones([2, 3], np.float32)
    kernel[:, 1] = value

    def run(kernel):
        return (ops.symmetric(kernel, 8), *ops.symmetric_integers(kernel, 8))

    quantized, integers, unit = tf.function(run, jit_compile=jit_compile)(kernel)
    np.testing.assert_allclose(quantized, kernel, atol=1e-38)
    assert np.all(np.abs(integers) <= 127)
    assert np.all(np.isfinite(unit))


def test_low_precision_kernel_keeps_its_dtype():
    kernel = tf.constant([[0.5, -1.0]], tf.float16)
    assert ops.symmetric(kernel, 4).dtype == tf.float16


def test_axis_that_a_kernel_has_not_got_is_named():
    with pytest.raises(ValueError, match=r'channel_axis: expected axes from -2 to 1 .* got 2'):
        ops.symmetric(tf.ones([3, 3]), 8, 2)
