import copy
import zlib

import numpy as np
import pytest
import tensorflow as tf

from tests.tflite.graphs import (
    convert,
    fake_quant,
    intervals,
    kernel_fake_quant,
    kernels,
    lower,
    marked,
    staircase,
)
from tf_n2uq.tflite.levels.comparators import plan_comparators
from tf_n2uq.tflite.levels.planning import plan_tables
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.markers import replace_markers
from tf_n2uq.tflite.passes.packing import MICRO_VERSIONS, pack_int4
from tf_n2uq.tflite.reports.inspection import inspect

CHANNELS = 32
# The values of the kernels of `network`.
KERNELS = (27 * CHANNELS, 9 * CHANNELS * CHANNELS, 9 * CHANNELS, 10 * CHANNELS)
# The bytes of these kernels.
SIZES = (KERNELS[0], KERNELS[1] // 2, KERNELS[2], KERNELS[3] // 2)


def grid(shape, levels=(-3.0, -1.0, 1.0, 3.0)):
    rng = np.random.default_rng(0)
    scale = rng.uniform(0.01, 0.05, shape[-1]).astype(np.float32)
    return kernel_fake_quant(rng.choice(levels, shape).astype(np.float32) * scale, scale)


PLANS = [
    plan_comparators(staircase(np.random.default_rng(levels), levels, (CHANNELS,)))
    for levels in (3, 7)
]


def network(x):
    """8-bit convolution, 2-bit block behind 3 comparators with a residual, 2-bit dense behind 7."""
    x = fake_quant(x, 0.02)
    x = fake_quant(
        tf.nn.conv2d(x, grid((3, 3, 3, CHANNELS), (-127.0, 5.0, 127.0)), 1, 'SAME'), 0.05
    )
    levels = marked(x, 0, 0.05, plan=PLANS[0])
    y = fake_quant(tf.nn.conv2d(levels, grid((3, 3, CHANNELS, CHANNELS)), 2, 'SAME'), 0.05)
    depthwise = tf.reshape(grid((3, 3, CHANNELS)), (3, 3, CHANNELS, 1))
    y = fake_quant(tf.nn.depthwise_conv2d(y, depthwise, [1, 1, 1, 1], 'SAME'), 0.05)
    x = fake_quant(x[:, ::2, ::2] + y, 0.05)
    levels = marked(fake_quant(tf.reduce_mean(x, [1, 2]), 0.02), 1, 0.02, plan=PLANS[1])
    x = tf.nn.conv2d(tf.reshape(levels, [1, 1, 1, CHANNELS]), grid((1, 1, CHANNELS, 10)), 1, 'SAME')
    return fake_quant(tf.reshape(x, [1, 10]), 0.01)


@pytest.fixture(scope='module')
def content():
    return lower(convert(network, [1, 8, 8, 3], tf.float32), PLANS)


def test_layers_are_reported_with_bits_bytes_and_comparators(content):
    layers = inspect(content).layers
    assert [
        (
            layer.operator,
            layer.kernel_type,
            layer.kernel_bits,
            layer.kernel_bytes,
            layer.comparators,
        )
        for layer in layers
    ] == [
        ('CONV_2D', 'INT8', 8, SIZES[0], 0),
        ('FULLY_CONNECTED', 'INT4', 4, SIZES[1], 3),
        ('DEPTHWISE_CONV_2D', 'INT8', 8, SIZES[2], 0),
        ('FULLY_CONNECTED', 'INT4', 4, SIZES[3], 7),
    ]
    assert {layer.scales for layer in layers} == {'per channel'}


def test_layers_are_reported_with_their_work(content):
    layers = inspect(content).layers
    biases = (CHANNELS, CHANNELS, CHANNELS, 10)
    assert [layer.parameters for layer in layers] == [
        kernel + bias for kernel, bias in zip(KERNELS, biases, strict=True)
    ]
    outputs = (64, 16, 16, 1)
    assert [layer.multiply_adds for layer in layers] == [
        kernel * count for kernel, count in zip(KERNELS, outputs, strict=True)
    ]
    # Comparators are a SUB each and an ADD for all but one; the rest gathers or reshapes.
    assert [layer.operators for layer in layers[::2]] == [1, 1]
    assert layers[1].operators > 1 + 5 + 9 // 4
    assert layers[3].operators == 1 + 13 + 1
    assert all(layer.on_xnnpack for layer in layers)


def test_the_whole_file_is_reported(content):
    report = inspect(content)
    assert report.file_bytes == len(content)
    assert report.kernel_bytes == sum(SIZES)
    assert report.kernel_values == sum(KERNELS)
    assert report.bits_per_weight == pytest.approx(8 * sum(SIZES) / sum(KERNELS))
    assert report.parameters == sum(layer.parameters for layer in report.layers)
    assert report.kernel_deflated_bytes < report.kernel_bytes
    assert report.multiply_adds == sum(layer.multiply_adds for layer in report.layers)
    assert report.kernel_bytes < report.deflated_bytes < report.file_bytes
    (left,) = report.undelegated
    assert (left.operator, left.count) == ('STRIDED_SLICE', 1)
    assert left.reason == 'XNNPACK slices without skipping values only'
    assert report.comparators == 10
    assert report.constant_bytes['INT4'] == SIZES[1] + SIZES[3]
    assert report.operators['SUB'] == 10
    assert report.operators['FULLY_CONNECTED'] == 2
    assert sum(report.operators.values()) == report.delegation.operators
    assert report.integer_only
    assert report.violations == ()
    assert (report.inputs[0].type, report.inputs[0].shape) == ('FLOAT32', (1, 8, 8, 3))
    assert (report.outputs[0].type, report.outputs[0].shape) == ('FLOAT32', (1, 10))


def test_a_kernel_has_the_size_that_zlib_gives_it(content):
    kernel = dict(kernels(content))['INT4']
    sizes = {layer.kernel_type: layer for layer in inspect(content).layers}['INT4']
    assert sizes.kernel_bytes == kernel.size
    assert sizes.kernel_deflated_bytes == len(zlib.compress(kernel.tobytes(), 9))


def test_a_kernel_of_many_layers_is_compressed_once(content, monkeypatch):
    model = flatbuffer.read(content)
    graph = flatbuffer.main_graph(model)
    (depthwise,) = (
        each
        for each in graph.operators
        if flatbuffer.operator_name(model, each) == 'DEPTHWISE_CONV_2D'
    )
    graph.operators += [copy.copy(depthwise) for _ in range(20)]
    compressed = []
    monkeypatch.setattr(
        'tf_n2uq.tflite.reports.inspection._deflated_bytes',
        lambda stored: compressed.append(stored) or 1,  # type: ignore[func-returns-value]
    )
    assert len(inspect(flatbuffer.write(model)).layers) == 24
    # The four kernels, and the whole file.
    assert len(compressed) == 5


def test_the_table_shows_what_the_report_holds(content):
    shown = str(inspect(content))
    assert 'INT4' in shown
    assert '32×288' in shown
    assert 'integer-only   yes' in shown
    assert 'kernels 5,920 bytes' in shown
    assert '4.43 bits per weight' in shown
    assert shown.splitlines()[6].startswith('total ')
    assert max(map(len, shown.splitlines())) <= 100


def test_what_xnnpack_leaves_is_said_with_the_reason():
    def averaged(x):
        x = fake_quant(tf.nn.avg_pool2d(fake_quant(x, 0.02), 2, 2, 'VALID'), 0.02)
        x = fake_quant(tf.nn.conv2d(x, grid((3, 3, 3, 4)), 1, 'SAME'), 0.02)
        return tf.nn.softmax(tf.reshape(x, [1, -1]))

    model = pack_int4(flatbuffer.read(convert(averaged, [1, 8, 8, 3])), MICRO_VERSIONS)
    report = inspect(flatbuffer.write(model))
    assert [(left.operator, left.count) for left in report.undelegated] == [
        ('AVERAGE_POOL_2D', 1),
        ('CONV_2D', 1),
        ('SOFTMAX', 1),
    ]
    assert not report.layers[0].on_xnnpack
    shown = str(report)
    assert 'not AVERAGE_POOL_2D 1: XNNPACK averages over windows of floats only' in shown
    assert 'not CONV_2D 1: XNNPACK takes INT4 kernels in FULLY_CONNECTED only' in shown
    assert 'not SOFTMAX 1: XNNPACK has no SOFTMAX of int8' in shown


def test_a_reason_that_is_not_known_is_not_made_up():
    def rounded(x):
        return tf.cast(tf.cast(x, tf.int32), tf.float32)

    report = inspect(convert(rounded, [1, 4], tf.float32))
    assert [(left.operator, left.reason) for left in report.undelegated] == [
        ('CAST', 'the reason is not known')
    ]


def test_the_work_of_a_transposed_convolution_is_counted():
    kernel = np.random.default_rng(0).normal(size=(3, 3, 5, 2)).astype(np.float32)

    def transposed(x):
        return tf.nn.conv2d_transpose(x, kernel, [1, 8, 8, 5], 2)

    (layer,) = inspect(convert(transposed, [1, 4, 4, 2], tf.float32)).layers
    assert layer.operator == 'TRANSPOSE_CONV'
    assert layer.multiply_adds == 4 * 4 * kernel.size
    assert layer.parameters in (kernel.size, kernel.size + 5)


def test_a_quantized_interface_is_shown_with_its_scale():
    report = inspect(convert(lambda x: fake_quant(tf.nn.relu(fake_quant(x, 0.02)), 0.02), [1, 4]))
    assert report.inputs[0].scale == pytest.approx(0.02)
    assert 'INT8 [1, 4], scale 0.02, zero 0' in str(report)


def test_a_float_file_is_not_integer_only():
    report = inspect(convert(lambda x: tf.sin(x), [1, 4], tf.float32))
    assert not report.integer_only
    assert 'integer-only   no' in str(report)
    assert report.layers == ()


@pytest.mark.parametrize('levels', [3, 15])
def test_a_chain_counts_as_one_comparator_per_level(levels):
    column = intervals(np.random.default_rng(0), levels, 120.0)
    plan = plan_tables(np.repeat(column.reshape(256, 1, 1, 1), CHANNELS, axis=-1), levels)

    def convolved(x):
        x = tf.pad(marked(x, 0, 0.05, plan=plan), [[0, 0], [1, 1], [1, 1], [0, 0]])
        return fake_quant(tf.nn.conv2d(x, grid((3, 3, CHANNELS, CHANNELS)), 2, 'VALID'), 0.05)

    model = flatbuffer.read(convert(convolved, [1, 8, 8, CHANNELS]))
    (layer,) = inspect(flatbuffer.write(replace_markers(model, [plan]))).layers
    assert layer.comparators == levels
    # The chain, the PAD and the layer itself.
    assert layer.operators == plan.operators + 2


def test_a_residual_sum_is_not_taken_for_comparators():
    def residual(x):
        x = fake_quant(x, 0.02)
        x = fake_quant(x + fake_quant(tf.nn.relu(x), 0.02), 0.02)
        return fake_quant(tf.nn.conv2d(x, grid((3, 3, 3, 4)), 1, 'SAME'), 0.02)

    assert inspect(convert(residual, [1, 8, 8, 3])).layers[0].comparators == 0


@pytest.mark.parametrize('junk', [b'', b'hello world, hello', bytes(100)])
def test_other_files_are_refused(junk):
    with pytest.raises(ValueError, match='expected a TFLite file'):
        inspect(junk)


def test_forged_files_end_in_an_error_or_a_report(content):
    rng = np.random.default_rng(0)
    outcomes = set()
    for _ in range(12):
        forged = bytearray(content)
        for place in rng.integers(0, len(forged), 20):
            forged[place] ^= 1 << rng.integers(0, 8)
        try:
            str(inspect(bytes(forged)))
            outcomes.add('report')
        except ValueError:
            outcomes.add('error')
    assert 'error' in outcomes


def test_an_operator_without_operands_is_survived(content):
    model = flatbuffer.read(content)
    for operator in flatbuffer.main_graph(model).operators:
        operator.inputs = operator.inputs[:1]
    with pytest.raises(ValueError, match='the interpreter can prepare'):
        inspect(flatbuffer.write(model))
