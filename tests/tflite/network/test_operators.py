import numpy as np
import pytest
import tensorflow as tf

from tests.tflite.integer_calls import numbers
from tf_n2uq.tflite.network.kernels import IntegerKernel
from tf_n2uq.tflite.network.operators import (
    concatenate,
    convolve,
    depthwise,
    depthwise_1x1,
    run_dense,
)
from tf_n2uq.tflite.passes.builder import MOST_CONCATENATED


def kernel(*shape):
    rng = np.random.default_rng(0)
    integers = rng.integers(-127, 128, shape).astype(np.int32)
    return IntegerKernel(integers, rng.uniform(0.001, 0.01, shape[-1]), rng.normal(size=shape[-1]))


def floats(kernel):
    return tf.constant(kernel.integers * kernel.unit, tf.float32)


@pytest.mark.parametrize('groups', [1, 2])
@pytest.mark.parametrize(('strides', 'dilations'), [((2, 2), (1, 1)), ((1, 1), (2, 2))])
def test_a_convolution_adds_its_bias(groups, strides, dilations):
    x, weights = numbers((1, 7, 8, 4)), kernel(3, 2, 4 // groups, 6)
    got = convolve(x, weights, strides, dilations, 'same', is_depthwise=False)
    expected = tf.nn.conv2d(x, floats(weights), strides, 'SAME', 'NHWC', dilations)
    np.testing.assert_allclose(got, expected + weights.bias, atol=1e-4)


@pytest.mark.parametrize('multiplier', [1, 3])
def test_a_depthwise_convolution_has_its_multiplier_with_the_channels(multiplier):
    x, weights = numbers((1, 7, 8, 4)), kernel(3, 3, 4 * multiplier)
    got = convolve(x, weights, (2, 2), (1, 1), 'valid', is_depthwise=True)
    split = tf.reshape(floats(weights), [3, 3, 4, multiplier])
    expected = tf.nn.depthwise_conv2d(x, split, [1, 2, 2, 1], 'VALID') + weights.bias
    np.testing.assert_allclose(got, expected, atol=1e-4)
    np.testing.assert_array_equal(depthwise(x, weights, (2, 2)), got)


@pytest.mark.parametrize(
    'shape', [(1, 4), (1, 5, 4), (1, 3, 5, 4), (2, 4), (2, 5, 4), (2, 3, 5, 4)]
)
def test_a_dense_kernel_multiplies_the_last_axis(shape):
    x, weights = numbers(shape), kernel(4, 6)
    got = run_dense(x, weights)
    assert got.shape == (*shape[:-1], 6)
    np.testing.assert_allclose(got, x @ floats(weights) + weights.bias, atol=1e-4)


@pytest.mark.parametrize(
    'shape', [(1, 4), (1, 5, 4), (1, 3, 5, 4), (2, 4), (2, 5, 4), (2, 3, 5, 4)]
)
def test_a_line_scales_and_shifts_each_channel(shape):
    x, slope, offset = numbers(shape), np.array([0.5, -2.0, 0.0, 1.0]), np.arange(4.0)
    got = depthwise_1x1(x, IntegerKernel.of_line(slope, offset))
    assert got.shape == shape
    np.testing.assert_allclose(got, np.asarray(x) * slope + offset, atol=1e-5)


@pytest.mark.parametrize('count', [1, MOST_CONCATENATED, 4 * MOST_CONCATENATED + 1])
def test_no_operator_joins_more_tensors_than_xnnpack_takes(count):
    parts = [numbers((1, 2, 3), seed) for seed in range(count)]
    np.testing.assert_array_equal(concatenate(parts, -1), tf.concat(parts, -1))
    graph = tf.function(lambda *parts: concatenate(parts, -1)).get_concrete_function(*parts).graph
    joins = [op for op in graph.get_operations() if op.type == 'ConcatV2']
    # The last input of the operator is the axis.
    assert all(len(op.inputs) - 1 <= MOST_CONCATENATED for op in joins)
    assert bool(joins) == (count > 1)
