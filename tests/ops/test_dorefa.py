from __future__ import annotations

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import tensorflow as tf

from tf_n2uq import ops

SCHEMES = ['original', 'modified', 'centered_symmetric']
FUNCTIONS = [ops.dorefa, ops.dorefa_elementwise]


def random_kernel(shape=(3, 3, 4, 6), scale=0.3, seed=0):
    return np.random.default_rng(seed).normal(0, scale, shape).astype(np.float32)


def gradient_of(function, kernel, dy):
    kernel = tf.convert_to_tensor(kernel)
    with tf.GradientTape() as tape:
        tape.watch(kernel)
        y = function(kernel)
    return tape.gradient(y, kernel, dy)


@hypothesis.settings(max_examples=30)
@hypothesis.given(
    bits=st.integers(2, 8),
    levels=st.sampled_from(SCHEMES),
    rescale=st.sampled_from([None, 'constant', 'stddev']),
    scale=st.floats(1e-3, 10),
    seed=st.integers(0, 99),
)
def test_integers_times_unit_is_the_function_bit_by_bit(bits, levels, rescale, scale, seed):
    kernel = random_kernel(scale=scale, seed=seed)
    integers, unit = ops.dorefa_integers(kernel, bits, levels, rescale)
    assert integers.dtype == tf.int32
    assert unit.shape == (1, 1, 1, 1)
    y = ops.dorefa_elementwise(kernel, bits, levels, rescale)
    np.testing.assert_array_equal(tf.cast(integers, tf.float32) * unit, y)


@pytest.mark.parametrize('bits', [2, 4, 7])
@pytest.mark.parametrize('levels', SCHEMES)
def test_integers_are_those_that_bits_can_hold_or_odd(levels, bits):
    kernel = random_kernel([64, 512])
    kernel[0, :2] = np.max(np.abs(kernel)) * np.array([-1, 1])
    integers = ops.dorefa_integers(kernel, bits, levels)[0].numpy()
    if levels == 'modified':
        assert integers.min() == -(2 ** (bits - 1))
        assert integers.max() == 2 ** (bits - 1) - 1
    else:
        assert set(np.unique(integers % 2)) == {1}
        assert np.abs(integers).max() == 2**bits - 1


@pytest.mark.parametrize('bits', [2, 3, 4])
def test_centered_levels_have_mean_zero(bits):
    kernel = np.arctanh(np.linspace(-0.999, 0.999, 999)).astype(np.float32)
    y = ops.dorefa(kernel, bits, 'centered_symmetric').numpy()
    values = np.unique(y)
    np.testing.assert_allclose(values, (2 * np.arange(2**bits) + 1 - 2**bits) / 2**bits)
    np.testing.assert_allclose(values, -values[::-1])


@pytest.mark.parametrize('levels', SCHEMES)
@pytest.mark.parametrize('rescale', [None, 'constant', 'stddev'])
def test_compiled_and_plain_functions_agree(levels, rescale):
    kernel, dy = random_kernel(), random_kernel(seed=1)

    def run(function, kernel):
        return function(kernel, 3, levels, rescale)

    results = [
        [run(function, kernel), gradient_of(lambda k, f=function: run(f, k), kernel, dy)]
        for function in FUNCTIONS
    ]
    for compiled, plain in zip(*results, strict=True):
        np.testing.assert_allclose(compiled, plain, rtol=1e-5, atol=1e-6)


def test_gradient_is_that_of_the_normalization():
    """Automatic differentiation of tanh(w)/max|tanh(w)|, with two equally large weights."""
    kernel = tf.constant([0.3, -1.2, 0.1, 1.2, -0.7])
    dy = tf.constant([1.0, 2.0, -0.5, 0.25, 3.0])

    def normalized(kernel):
        squashed = tf.tanh(kernel)
        return squashed / tf.reduce_max(tf.abs(squashed))

    got = gradient_of(lambda k: ops.dorefa(k, 4), kernel, dy)
    np.testing.assert_allclose(got, gradient_of(normalized, kernel, dy), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('function', FUNCTIONS)
@pytest.mark.parametrize('kernel', [np.zeros([3, 2]), np.full([3, 2], 0.7), np.full([1, 1], -2.0)])
@pytest.mark.parametrize('rescale', [None, 'constant', 'stddev'])
def test_kernels_without_variance_give_finite_numbers(function, kernel, rescale):
    kernel = tf.constant(kernel, tf.float32)
    y = function(kernel, 2, 'original', rescale)
    dx = gradient_of(lambda k: function(k, 2, 'original', rescale), kernel, tf.ones_like(kernel))
    assert np.all(np.isfinite(y))
    assert np.all(np.isfinite(dx))


@pytest.mark.parametrize('dtype', [tf.float16, tf.bfloat16, tf.float64])
def test_keeps_the_dtype_and_computes_in_float32(dtype):
    kernel = tf.cast(random_kernel(), dtype)
    y = ops.dorefa(kernel, 4)
    dx = gradient_of(lambda k: ops.dorefa(k, 4), kernel, tf.ones_like(kernel))
    assert (y.dtype, dx.dtype) == (dtype, dtype)
    expected = ops.dorefa(tf.cast(kernel, tf.float32), 4)
    np.testing.assert_array_equal(y, tf.cast(expected, dtype))


@pytest.mark.parametrize('function', [*FUNCTIONS, ops.dorefa_integers])
def test_wrong_levels_and_rescaling_are_named(function):
    kernel = random_kernel()
    with pytest.raises(ValueError, match="levels: expected one of 'original'.*got 'other'"):
        function(kernel, 2, 'other')
    with pytest.raises(ValueError, match="for kernels, got 'centered_asymmetric'"):
        function(kernel, 2, 'centered_asymmetric')
    with pytest.raises(ValueError, match="rescale: expected None or one of 'constant', 'stddev'"):
        function(kernel, 2, 'original', 'other')
