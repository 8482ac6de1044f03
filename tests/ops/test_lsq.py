from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf

from tf_n2uq import ops


def with_gradients(x, step, dy, lowest, highest):
    x, step, dy = (tf.convert_to_tensor(v) for v in (x, step, dy))
    with tf.GradientTape() as tape:
        tape.watch([x, step])
        y = ops.lsq(x, step, lowest, highest)
    return [y, *tape.gradient(y, [x, step], dy)]


def paper(x, step, dy, lowest, highest):
    """The paper's equations 1, 2, 3 and 5 with its gradient scale, in float64."""
    v = x.astype(np.float64) / step
    y = np.round(np.clip(v, lowest, highest)) * step
    inside = (v > lowest) & (v < highest)
    weight = np.where(inside, np.round(v) - v, np.where(v <= lowest, lowest, highest))
    scale = 1 / np.sqrt(max(x.size, 1) * highest)
    return y, np.where(inside, dy, 0), np.sum(dy * weight) * scale


@pytest.mark.parametrize('mode', ['eager', 'graph', 'xla'])
@pytest.mark.parametrize(('lowest', 'highest'), [(0, 3), (-2, 1), (-8, 7), (0, 127)])
def test_equals_the_paper(lowest, highest, mode):
    generator = np.random.default_rng(0)
    x, dy = (generator.standard_normal([5, 7, 11]).astype(np.float32) for _ in range(2))
    step = np.float32(1.3 / highest)

    def run(x, step, dy):
        return with_gradients(x, step, dy, float(lowest), float(highest))

    if mode != 'eager':
        run = tf.function(run, jit_compile=mode == 'xla')
    for got, want in zip(
        run(x, np.array([step]), dy), paper(x, step, dy, lowest, highest), strict=True
    ):
        np.testing.assert_allclose(np.squeeze(got), np.squeeze(want), rtol=1e-5, atol=1e-5)


@hypothesis.settings(max_examples=25)
@hypothesis.given(
    bits=st.integers(2, 8),
    signed=st.booleans(),
    step=st.floats(0.01, 3),
    shape=st.lists(st.integers(0, 6), max_size=3),
    seed=st.integers(0, 99),
)
def test_levels_times_step_is_the_function(bits, signed, step, shape, seed):
    lowest = -(2 ** (bits - 1)) if signed else 0
    highest = lowest + 2**bits - 1
    x = np.random.default_rng(seed).normal(0, 5, shape).astype(np.float32)
    step = np.float32(step)
    y, _, d_step = with_gradients(x, [step], np.ones_like(x), float(lowest), float(highest))
    levels = ops.lsq_levels(x, [step], float(lowest), float(highest))
    assert levels.dtype == tf.int32
    assert np.all((levels >= lowest) & (levels <= highest))
    np.testing.assert_allclose(y, levels.numpy() * step, rtol=1e-6)
    assert np.all(np.isfinite(d_step))


@pytest.mark.parametrize('step', [0.0, -1.0])
def test_a_step_of_zero_or_below_gives_finite_numbers(step):
    x = tf.constant([-1.0, 0.0, 1.0])
    results = with_gradients(x, tf.constant([step]), tf.ones([3]), -8.0, 7.0)
    assert all(np.all(np.isfinite(value)) for value in results)


@pytest.mark.parametrize('dtype', [tf.float16, tf.bfloat16])
def test_low_precision_input_keeps_a_float32_step(dtype):
    x = tf.cast(np.random.default_rng(0).standard_normal([500]), dtype)
    y, dx, d_step = with_gradients(x, tf.constant([0.3]), tf.ones_like(x), -8.0, 7.0)
    assert (y.dtype, dx.dtype, d_step.dtype) == (dtype, dtype, tf.float32)
    expected = with_gradients(tf.cast(x, tf.float32), tf.constant([0.3]), tf.ones([500]), -8.0, 7.0)
    np.testing.assert_array_equal(y, tf.cast(expected[0], dtype))
    np.testing.assert_allclose(d_step, expected[2], rtol=1e-5)


def test_unknown_and_empty_batch():
    run = tf.function(
        lambda x: with_gradients(x, tf.constant([1.0]), tf.ones_like(x), 0.0, 3.0),
        input_signature=[tf.TensorSpec([None, 3], tf.float32)],
    )
    assert run(tf.zeros([0, 3]))[0].shape == (0, 3)
    assert run(tf.zeros([2, 3]))[1].shape == (2, 3)


def test_integer_input_is_named():
    with pytest.raises(TypeError, match='x: expected a floating point tensor, got int32'):
        ops.lsq(tf.constant([1]), tf.constant([1.0]), 0.0, 3.0)
