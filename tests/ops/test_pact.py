from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf

from tests.ops.references import assert_equal, cases, nhwc
from tf_n2uq import ops

CASES = cases('pact_quantizer')


def with_gradients(x, clip_value, dy, bits):
    x, clip_value, dy = (tf.convert_to_tensor(v) for v in (x, clip_value, dy))
    with tf.GradientTape() as tape:
        tape.watch([x, clip_value])
        y = ops.pact(x, clip_value, bits)
    return [y, *tape.gradient(y, [x, clip_value], dy)]


@pytest.mark.parametrize('mode', ['eager', 'graph', 'xla'])
@pytest.mark.parametrize('case', CASES, ids=range(len(CASES)))
def test_equals_the_published_quantizer(case, mode):
    def run(x, clip_value, dy):
        return with_gradients(x, clip_value, dy, int(case['bits']))

    if mode != 'eager':
        run = tf.function(run, jit_compile=mode == 'xla')
    y, dx, d_clip = run(nhwc(case['x']), case['clip_val'].astype(np.float32), nhwc(case['dy']))
    assert_equal(y, nhwc(case['y']))
    assert_equal(dx, nhwc(case['dx']))
    assert_equal(d_clip, case['dclip_val'])


@hypothesis.settings(max_examples=25)
@hypothesis.given(
    bits=st.integers(2, 8),
    clip=st.floats(0.1, 10),
    shape=st.lists(st.integers(0, 6), max_size=3),
    seed=st.integers(0, 99),
)
def test_levels_times_step_is_the_function_and_gradient_is_masked(bits, clip, shape, seed):
    generator = np.random.default_rng(seed)
    x, dy = (generator.normal(0, 5, shape).astype(np.float32) for _ in range(2))
    clip = np.float32(clip)
    y, dx, d_clip = with_gradients(x, [clip], dy, bits)
    levels = ops.pact_levels(x, [clip], bits)
    assert levels.dtype == tf.int32
    np.testing.assert_allclose(y, levels.numpy() * (clip / (2**bits - 1)), rtol=1e-5)
    assert np.all(np.abs(y - np.clip(x, 0, clip)) <= clip / (2**bits - 1) / 2 * 1.001)
    np.testing.assert_array_equal(dx, np.where((x > 0) & (x < clip), dy, 0))
    expected = np.sum(dy.astype(np.float64) * (y.numpy() / clip + (x >= clip)))
    np.testing.assert_allclose(d_clip, [expected], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('clip', [0.0, -1.0])
def test_a_clipping_value_of_zero_or_below_gives_finite_numbers(clip):
    results = with_gradients(tf.constant([-1.0, 0.0, 1.0]), tf.constant([clip]), tf.ones([3]), 4)
    assert all(np.all(np.isfinite(value)) for value in results)


@pytest.mark.parametrize('dtype', [tf.float16, tf.bfloat16])
def test_low_precision_input_keeps_a_float32_clipping_value(dtype):
    x = tf.cast(np.random.default_rng(0).standard_normal([500]), dtype)
    y, dx, d_clip = with_gradients(x, tf.constant([1.3]), tf.ones_like(x), 4)
    assert (y.dtype, dx.dtype, d_clip.dtype) == (dtype, dtype, tf.float32)
    expected = with_gradients(tf.cast(x, tf.float32), tf.constant([1.3]), tf.ones([500]), 4)
    np.testing.assert_array_equal(y, tf.cast(expected[0], dtype))
    np.testing.assert_allclose(d_clip, expected[2], rtol=1e-6)


def test_unknown_and_empty_batch():
    run = tf.function(
        lambda x: with_gradients(x, tf.constant([1.0]), tf.ones_like(x), 2),
        input_signature=[tf.TensorSpec([None, 3], tf.float32)],
    )
    assert run(tf.zeros([0, 3]))[0].shape == (0, 3)
    assert run(tf.zeros([2, 3]))[1].shape == (2, 3)


def test_integer_input_is_named():
    with pytest.raises(TypeError, match='x: expected a floating point tensor, got int32'):
        ops.pact(tf.constant([1]), tf.constant([1.0]), 2)


@pytest.mark.parametrize('gradient', ['paper', 'calibrated', 'published_n2uq'])
def test_each_gradient_of_the_clipping_value_is_that_of_its_paper(gradient):
    generator = np.random.default_rng(0)
    x, dy = (generator.normal(0, 2, [7, 9]).astype(np.float32) for _ in range(2))
    clip = tf.constant([1.7])
    with tf.GradientTape() as tape:
        tape.watch(clip)
        y = ops.pact(x, clip, 3, gradient)
    above = (x >= 1.7).astype(np.float64)
    weights = {
        'paper': above,
        'calibrated': above + np.where(above, 0, (y - np.maximum(x, 0)) / 1.7),
        'published_n2uq': above + y / 1.7,
    }
    np.testing.assert_allclose(
        tape.gradient(y, clip, dy), [np.sum(dy * weights[gradient])], rtol=1e-4
    )


def test_an_unknown_gradient_is_an_error_that_names_the_known_ones():
    expected = "gradient: expected one of 'paper', 'calibrated', 'published_n2uq', got 'sat'"
    with pytest.raises(ValueError, match=expected):
        ops.pact(tf.ones([1]), tf.constant([1.0]), 2, 'sat')
