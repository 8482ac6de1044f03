"""What the export relies on TensorFlow's converter to do. If one of these fails, the export must
change."""

import numpy as np
import pytest
import tensorflow as tf

from tests.tflite.graphs import (
    convert,
    fake_quant,
    kernel_fake_quant,
    kernels,
    marked,
    operators,
    run,
)
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.markers import marker_alpha
from tf_n2uq.tflite.reports.verify import check_integer_only
from tf_n2uq.tflite.running.interpreter import xnnpack_delegation

CHANNELS = 6


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def grid(rng, shape):
    values = rng.choice([-3.0, -1.0, 1.0, 3.0], shape).astype(np.float32)
    return values, rng.uniform(0.01, 0.05, shape[-1]).astype(np.float32)


def normalized(rng, x):
    gamma = rng.uniform(0.5, 1.5, CHANNELS) * np.resize([1, -1], CHANNELS)
    moments = rng.normal(size=CHANNELS), rng.uniform(0.5, 2, CHANNELS)
    mean, variance = (value.astype(np.float32) for value in moments)
    beta = rng.normal(size=CHANNELS).astype(np.float32)
    return tf.nn.batch_normalization(x, mean, variance, beta, gamma.astype(np.float32), 1e-3)


def check_one_partition(content):
    check_integer_only(flatbuffer.read(content))
    delegation = xnnpack_delegation(content)
    assert (delegation.partitions, delegation.coverage) == (1, 1.0)


def output_scale(content):
    graph = flatbuffer.main_graph(flatbuffer.read(content))
    output = graph.tensors[graph.outputs[0]]
    return float(flatbuffer.scales_of(output)[0]), flatbuffer.zero_point_of(output)


def test_markers_keep_their_slope_and_stay_apart():
    def two(x):
        x = fake_quant(x, 0.02)
        return fake_quant(marked(x, 0, 0.02) + marked(x, 1023, 0.02), 0.02)

    model = flatbuffer.read(convert(two, [1, 4, 4, 2]))
    alphas = [
        operator.builtinOptions.alpha
        for operator in flatbuffer.main_graph(model).operators
        if flatbuffer.operator_name(model, operator) == 'LEAKY_RELU'
    ]
    assert alphas == [marker_alpha(0), marker_alpha(1023)]


@pytest.mark.parametrize('normalize', [False, True])
def test_convolution_kernels_stay_on_their_grid(rng, normalize):
    kernel, scale = grid(rng, (3, 3, CHANNELS, CHANNELS))

    def layer(x):
        x = tf.nn.conv2d(marked(x, 0, 0.02), kernel_fake_quant(kernel * scale, scale), 1, 'SAME')
        return fake_quant(normalized(rng, x) if normalize else x, 0.05)

    ((_, stored),) = kernels(convert(layer, [1, 8, 8, CHANNELS]))
    # A negative factor of the normalization turns the signs of a channel around.
    stored = np.moveaxis(stored, 0, -1)
    np.testing.assert_array_equal(np.abs(stored), np.abs(kernel))


@pytest.mark.parametrize(('normalize', 'multiplier'), [(False, 1), (True, 1), (False, 2)])
def test_depthwise_kernels_stay_on_their_grid(rng, normalize, multiplier):
    kernel, scale = grid(rng, (3, 3, CHANNELS * multiplier))
    shape = (3, 3, CHANNELS, multiplier)

    def layer(x):
        weights = tf.reshape(kernel_fake_quant(kernel * scale, scale), shape)
        x = tf.nn.depthwise_conv2d(fake_quant(x, 0.02), weights, [1, 1, 1, 1], 'SAME')
        return fake_quant(normalized(rng, x) if normalize else x, 0.05)

    content = convert(layer, [1, 8, 8, CHANNELS])
    assert operators(content) == ['DEPTHWISE_CONV_2D']
    ((_, stored),) = kernels(content)
    np.testing.assert_array_equal(np.abs(stored[0]), np.abs(kernel))
    check_one_partition(content)


def test_a_normalization_alone_is_a_depthwise_convolution(rng):
    gain = rng.normal(size=CHANNELS).astype(np.float32)

    def layer(x):
        scale = np.abs(gain) / 127
        weights = tf.reshape(kernel_fake_quant(gain[None, None], scale), (1, 1, CHANNELS, 1))
        x = tf.nn.depthwise_conv2d(fake_quant(x, 0.02), weights, [1, 1, 1, 1], 'SAME')
        return fake_quant(x + rng.normal(size=CHANNELS).astype(np.float32), 0.05)

    content = convert(layer, [1, 8, 8, CHANNELS])
    assert operators(content) == ['DEPTHWISE_CONV_2D']
    ((_, stored),) = kernels(content)
    np.testing.assert_array_equal(stored.reshape(-1), 127 * np.sign(gain))
    check_one_partition(content)


def test_average_pooling_rounds_twice_unless_it_has_the_range_of_its_input():
    def pooled(scale):
        return lambda x: fake_quant(tf.nn.avg_pool2d(fake_quant(x, 0.02), 2, 2, 'VALID'), scale)

    assert operators(convert(pooled(0.02), [1, 8, 8, 3])) == ['AVERAGE_POOL_2D']
    content = convert(pooled(0.01), [1, 8, 8, 3])
    assert operators(content) == ['AVERAGE_POOL_2D', 'QUANTIZE']
    check_integer_only(flatbuffer.read(content))


def test_average_pooling_as_a_depthwise_convolution_rounds_once_under_xnnpack():
    """XNNPACK does not take AVERAGE_POOL_2D of int8."""
    size = 3

    def pooled(x):
        scale = np.full(CHANNELS, 1 / (127 * size**2), np.float32)
        kernel = np.full((size, size, CHANNELS), 1 / size**2, np.float32)
        kernel = tf.reshape(kernel_fake_quant(kernel, scale), (size, size, CHANNELS, 1))
        x = tf.nn.depthwise_conv2d(fake_quant(x, 0.02), kernel, [1, 2, 2, 1], 'VALID')
        return fake_quant(x, 0.007)

    content = convert(pooled, [1, 9, 9, CHANNELS])
    assert operators(content) == ['DEPTHWISE_CONV_2D']
    check_one_partition(content)
    x = np.random.default_rng(0).integers(-128, 128, (1, 9, 9, CHANNELS), np.int8)
    means = tf.nn.avg_pool2d(x.astype(np.float64) * 0.02, size, 2, 'VALID').numpy()
    np.testing.assert_allclose(run(content, x), np.clip(means / 0.007, -128, 127), atol=0.501)


def test_global_average_pooling_has_a_range_of_its_own():
    def pooled(x):
        return fake_quant(tf.reduce_mean(fake_quant(x, 0.02), [1, 2]), 0.004)

    content = convert(pooled, [1, 8, 8, 3])
    assert operators(content) == ['MEAN']
    assert output_scale(content)[0] == pytest.approx(0.004)
    check_one_partition(content)


@pytest.mark.parametrize('quantized', [False, True])
def test_softmax_has_its_fixed_range(quantized):
    def probabilities(x):
        x = tf.nn.softmax(fake_quant(x, 0.02))
        return fake_quant(x, 1 / 256, -128) if quantized else x

    content = convert(probabilities, [1, 10])
    assert output_scale(content) == (1 / 256, -128)
    check_integer_only(flatbuffer.read(content))


def test_flattening_stays_inside_the_partition():
    def flat(x):
        x = tf.reshape(fake_quant(x, 0.02), [-1, 48])
        return fake_quant(x + np.float32(0.5), 0.02)

    content = convert(flat, [1, 4, 4, 3])
    assert operators(content) == ['RESHAPE', 'ADD']
    check_one_partition(content)


@pytest.mark.parametrize(('relu', 'code'), [(tf.nn.relu, 1), (tf.nn.relu6, 3)])
@pytest.mark.parametrize('between', [False, True])
def test_relu_is_part_of_the_sum_before_it(relu, code, between):
    def residual(x):
        x = fake_quant(x, 0.02)
        x = x + fake_quant(tf.nn.max_pool2d(x, 3, 1, 'SAME'), 0.02)
        return fake_quant(relu(fake_quant(x, 0.05) if between else x), 0.02, -128)

    content = convert(residual, [1, 8, 8, 3])
    assert operators(content) == ['MAX_POOL_2D', 'ADD']
    model = flatbuffer.read(content)
    options = flatbuffer.main_graph(model).operators[1].builtinOptions
    assert options.fusedActivationFunction == code
    check_one_partition(content)


@pytest.mark.parametrize('quantized', [False, True])
def test_maximum_pooling_keeps_the_scale(quantized):
    def pooled(x):
        x = tf.nn.max_pool2d(fake_quant(x, 0.02), 2, 2, 'SAME')
        return fake_quant(x, 0.02) if quantized else x

    content = convert(pooled, [1, 8, 8, 3])
    assert operators(content) == ['MAX_POOL_2D']
    assert output_scale(content)[0] == pytest.approx(0.02)
    check_one_partition(content)


@pytest.mark.parametrize('quantized', [False, True])
def test_padding_of_levels_is_level_zero(rng, quantized):
    kernel, scale = grid(rng, (3, 3, CHANNELS, CHANNELS))

    def layer(x):
        x = tf.pad(marked(x, 0, 0.02), [[0, 0], [1, 1], [1, 1], [0, 0]])
        x = fake_quant(x, 0.02) if quantized else x
        return fake_quant(
            tf.nn.conv2d(x, kernel_fake_quant(kernel * scale, scale), 2, 'VALID'), 0.05
        )

    content = convert(layer, [1, 8, 8, CHANNELS])
    assert operators(content) == ['LEAKY_RELU', 'PAD', 'CONV_2D']
    model = flatbuffer.read(content)
    graph = flatbuffer.main_graph(model)
    padded = graph.tensors[graph.operators[1].outputs[0]]
    assert flatbuffer.zero_point_of(padded) == 0
    assert flatbuffer.scales_of(padded)[0] == pytest.approx(0.02)


def test_a_dense_kernel_per_channel_is_refused_by_the_converter(rng):
    """Why dense layers are exported as convolutions of one pixel."""
    kernel, scale = grid(rng, (12, CHANNELS))

    def dense(x):
        return fake_quant(
            tf.matmul(fake_quant(x, 0.02), kernel_fake_quant(kernel * scale, scale)), 0.05
        )

    with pytest.raises(Exception, match='mismatched quantized axes'):
        convert(dense, [1, 12])
