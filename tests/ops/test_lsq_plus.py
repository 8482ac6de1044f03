from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf

from tf_n2uq import ops


def with_gradients(x, step, offset, dy, bits):
    x, step, offset, dy = (tf.convert_to_tensor(value) for value in (x, step, offset, dy))
    with tf.GradientTape() as tape:
        tape.watch([x, step, offset])
        y = ops.lsq_plus(x, step, offset, bits)
    return [y, *tape.gradient(y, [x, step, offset], dy)]


def paper(x, step, offset, dy, bits):
    """The paper's section 3.1 in float64, for an offset that is a whole number of steps."""
    highest = 2**bits - 1
    v = (x.astype(np.float64) - offset) / step
    y = np.round(np.clip(v, 0, highest)) * step + offset
    inside = (v > 0) & (v < highest)
    to_step = np.where(inside, np.round(v) - v, np.where(v <= 0, 0, highest))
    to_offset = np.where(inside, 0, 1)
    scale = 1 / np.sqrt(max(x.size, 1) * highest)
    return (
        y,
        np.where(inside, dy, 0),
        np.sum(dy * to_step) * scale,
        np.sum(dy * to_offset) * scale,
    )


@pytest.mark.parametrize('mode', ['eager', 'graph', 'xla'])
@pytest.mark.parametrize(('bits', 'lowest'), [(2, 0), (2, -3), (3, -1), (4, -8), (7, -40)])
def test_equals_the_paper_where_the_offset_is_whole_steps(bits, lowest, mode):
    generator = np.random.default_rng(0)
    x, dy = (generator.standard_normal([5, 7, 11]).astype(np.float32) for _ in range(2))
    step = np.float32(2.0 / (2**bits - 1))
    offset = np.float32(lowest * step)

    def run(x, step, offset, dy):
        return with_gradients(x, step, offset, dy, bits)

    if mode != 'eager':
        run = tf.function(run, jit_compile=mode == 'xla')
    got = run(x, np.array([step]), np.array([offset]), dy)
    for one, want in zip(got, paper(x, step, offset, dy, bits), strict=True):
        np.testing.assert_allclose(np.squeeze(one), np.squeeze(want), rtol=1e-5, atol=2e-5)


def test_without_an_offset_it_is_lsq():
    x = np.random.default_rng(0).standard_normal([300]).astype(np.float32)
    y, dx, d_step, _ = with_gradients(x, [0.3], [0.0], np.ones_like(x), 3)
    step = tf.constant([0.3])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(step)
        images = tf.convert_to_tensor(x)
        tape.watch(images)
        expected = ops.lsq(images, step, 0.0, 7.0)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(dx, tape.gradient(expected, images))
    np.testing.assert_allclose(d_step, tape.gradient(expected, step), rtol=1e-6)


@pytest.mark.parametrize(
    ('offset', 'lowest'),
    [(0.0, 0), (-0.24, 0), (-0.26, -1), (-1.3, -3), (-1.5, -3), (-9.0, -3), (0.7, 0)],
)
def test_the_offset_acts_as_whole_steps_with_zero_among_the_levels(offset, lowest):
    levels = ops.lsq_plus_levels(tf.linspace(-20.0, 20.0, 999), [0.5], [offset], 2)
    np.testing.assert_array_equal(np.unique(levels), np.arange(lowest, lowest + 4))
    assert 0 in levels.numpy()
    assert float(ops.lsq_plus_lowest([0.5], [offset], 2)) == lowest


def test_an_offset_between_two_steps_learns_as_if_it_were_not_rounded():
    x = tf.constant([-5.0, 0.2, 5.0])
    _, _, d_step, d_offset = with_gradients(x, [0.5], [-0.7], tf.constant([1.0, 1.0, 1.0]), 2)
    scale = 1 / np.sqrt(3 * 3)
    np.testing.assert_allclose(d_offset, [2 * scale], rtol=1e-6)
    # Below the range the step gets 0, inside round(v) − v with v = 0.2/0.5 + 1, and above it 3.
    np.testing.assert_allclose(d_step, [(0 - 0.4 + 3) * scale], rtol=1e-6)


@pytest.mark.parametrize(
    ('offset', 'upstream', 'learns'),
    [(0.3, 1.0, True), (0.3, -1.0, False), (-2.0, -1.0, True), (-2.0, 1.0, False)],
)
def test_an_offset_beyond_its_limits_can_only_return(offset, upstream, learns):
    x = tf.constant([-50.0, 50.0])
    *_, d_offset = with_gradients(x, [0.5], [offset], tf.fill([2], upstream), 2)
    assert bool(d_offset[0] != 0) == learns


@hypothesis.settings(max_examples=25)
@hypothesis.given(
    bits=st.integers(2, 8),
    step=st.floats(0.01, 3),
    offset=st.floats(-9, 1),
    shape=st.lists(st.integers(0, 6), max_size=3),
    seed=st.integers(0, 99),
)
def test_levels_times_step_is_the_function(bits, step, offset, shape, seed):
    x = np.random.default_rng(seed).normal(0, 5, shape).astype(np.float32)
    step, offset = np.float32(step), np.float32(offset)
    y, *gradients = with_gradients(x, [step], [offset], np.ones_like(x), bits)
    levels = ops.lsq_plus_levels(x, [step], [offset], bits)
    lowest = int(ops.lsq_plus_lowest([step], [offset], bits))
    assert levels.dtype == tf.int32
    assert lowest <= 0 <= lowest + 2**bits - 1
    assert np.all((levels >= lowest) & (levels <= lowest + 2**bits - 1))
    np.testing.assert_allclose(y, levels.numpy() * step, rtol=1e-6)
    assert all(np.all(np.isfinite(value)) for value in gradients)


@pytest.mark.parametrize('step', [0.0, -1.0])
def test_a_step_of_zero_or_below_gives_finite_numbers(step):
    x = tf.constant([-1.0, 0.0, 1.0])
    results = with_gradients(x, tf.constant([step]), tf.constant([-0.5]), tf.ones([3]), 4)
    assert all(np.all(np.isfinite(value)) for value in results)


@pytest.mark.parametrize('dtype', [tf.float16, tf.bfloat16])
def test_low_precision_input_keeps_float32_parameters(dtype):
    x = tf.cast(np.random.default_rng(0).standard_normal([500]), dtype)
    step, offset = tf.constant([0.3]), tf.constant([-0.6])
    y, dx, *learned = with_gradients(x, step, offset, tf.ones_like(x), 3)
    assert (y.dtype, dx.dtype) == (dtype, dtype)
    assert {value.dtype for value in learned} == {tf.float32}
    expected = with_gradients(tf.cast(x, tf.float32), step, offset, tf.ones([500]), 3)
    np.testing.assert_array_equal(y, tf.cast(expected[0], dtype))
    np.testing.assert_allclose(learned, expected[2:], rtol=1e-5)


def test_float64_is_computed_in_float64():
    x = tf.constant(np.random.default_rng(0).standard_normal([50]))
    y, *_ = with_gradients(x, tf.constant([0.3]), tf.constant([-0.6]), tf.ones_like(x), 3)
    levels = ops.lsq_plus_levels(x, tf.constant([0.3]), tf.constant([-0.6]), 3)
    np.testing.assert_allclose(y, levels.numpy() * np.float64(np.float32(0.3)), rtol=1e-14)


def test_unknown_and_empty_batch():
    run = tf.function(
        lambda x: with_gradients(x, tf.constant([1.0]), tf.constant([-1.0]), tf.ones_like(x), 2),
        input_signature=[tf.TensorSpec([None, 3], tf.float32)],
    )
    assert run(tf.zeros([0, 3]))[0].shape == (0, 3)
    assert run(tf.zeros([2, 3]))[1].shape == (2, 3)


def test_integer_input_is_named():
    with pytest.raises(TypeError, match='x: expected a floating point tensor, got int32'):
        ops.lsq_plus(tf.constant([1]), tf.constant([1.0]), tf.constant([0.0]), 2)
