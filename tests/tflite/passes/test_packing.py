import copy

import numpy as np
import pytest
import tensorflow as tf

from tests.tflite.graphs import convert, fake_quant, kernel_fake_quant, kernels, run
from tf_n2uq._compat.tflite_schema import schema
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.dense import connect_fully
from tf_n2uq.tflite.passes.narrow_types import NARROW_TYPES
from tf_n2uq.tflite.passes.packing import MICRO_VERSIONS, kernel_values, pack_int4, store

# LiteRT's reference kernels take INT4 in FULLY_CONNECTED, too.
VERSIONS = {**MICRO_VERSIONS, 'FULLY_CONNECTED': 10}


def grid(rng, shape, levels):
    values = rng.choice(np.asarray(levels), shape).astype(np.float32)
    return values, rng.uniform(0.01, 0.05, shape[-1]).astype(np.float32)


def network(levels, sizes=(6, 8, 5)):
    """Convolution, depthwise, 1x1 convolution, dense, with kernels on a grid."""
    rng = np.random.default_rng(0)
    first, second, third = sizes

    def layers(x):
        x = fake_quant(x, 0.02)
        kernel, scale = grid(rng, (3, 3, first, second), levels)
        x = tf.nn.conv2d(x, kernel_fake_quant(kernel * scale, scale), 2, 'SAME')
        x = fake_quant(x + rng.normal(size=second).astype(np.float32), 0.03, 5)
        kernel, scale = grid(rng, (3, 3, second), levels)
        kernel = tf.reshape(kernel_fake_quant(kernel * scale, scale), (3, 3, second, 1))
        x = fake_quant(tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], 'SAME'), 0.02)
        kernel, scale = grid(rng, (1, 1, second, third), levels)
        x = fake_quant(tf.nn.conv2d(x, kernel_fake_quant(kernel * scale, scale), 1, 'SAME'), 0.02)
        x = fake_quant(tf.reduce_mean(x, [1, 2]), 0.01)
        kernel, scale = grid(rng, (1, 1, third, 10), levels)
        x = tf.nn.conv2d(
            tf.reshape(x, [1, 1, 1, third]), kernel_fake_quant(kernel * scale, scale), 1, 'SAME'
        )
        return fake_quant(tf.reshape(x, [1, 10]), 0.003)

    model = flatbuffer.read(convert(layers, [1, 8, 8, first]))
    return flatbuffer.write(connect_fully(model))


def packed(content):
    return flatbuffer.write(pack_int4(flatbuffer.read(content), VERSIONS))


# Channel counts that are odd leave a kernel's rows, or the whole kernel, with half a byte over.
@pytest.mark.parametrize('sizes', [(6, 8, 4), (3, 8, 5), (5, 7, 3), (1, 3, 5)])
@pytest.mark.parametrize('levels', [(-3, -1, 1, 3), (-8, -5, 0, 7)])
def test_packed_kernels_give_the_same_results(sizes, levels):
    before = network(levels, sizes)
    after = packed(before)
    assert [kind for kind, _ in kernels(after)] == ['INT4', 'INT4', 'INT4', 'INT4']
    x = np.random.default_rng(1).integers(-128, 128, (1, 8, 8, sizes[0]), np.int8)
    expected = run(before, x, reference_kernels=True)
    assert len(np.unique(expected)) > 2
    np.testing.assert_array_equal(run(after, x, reference_kernels=True), expected)


def test_packing_halves_the_kernels():
    before = network((-3, -1, 1, 3), (32, 64, 64))
    after = packed(before)
    sizes = [values.size for _, values in kernels(before)]
    halves = [values.size for kind, values in kernels(after) if kind == 'INT4']
    assert halves == [size // 2 for size in sizes]
    assert len(before) - len(after) > 0.98 * sum(halves)


def test_kernels_that_need_more_than_four_bits_stay():
    content = packed(network((-15, -1, 1, 15)))
    assert {kind for kind, _ in kernels(content)} == {'INT8'}


def test_a_kernel_that_another_operator_reads_stays():
    model = flatbuffer.read(network((-3, -1, 1, 3)))
    graph = flatbuffer.main_graph(model)
    convolution, depthwise = graph.operators[:2]
    depthwise.inputs[1] = convolution.inputs[1]
    pack_int4(model, {'CONV_2D': 7})
    assert flatbuffer.type_name(graph.tensors[convolution.inputs[1]]) == 'INT8'


def test_two_layers_with_one_kernel_keep_one_copy():
    model = flatbuffer.read(network((-3, -1, 1, 3)))
    graph = flatbuffer.main_graph(model)
    graph.operators.append(copy.copy(graph.operators[0]))
    buffers = len(model.buffers)
    pack_int4(model, VERSIONS)
    assert flatbuffer.type_name(graph.tensors[graph.operators[0].inputs[1]]) == 'INT4'
    assert len(model.buffers) <= buffers


def test_packing_twice_changes_nothing():
    once = packed(network((-3, -1, 1, 3)))
    assert packed(once) == once


@pytest.mark.parametrize('narrow', NARROW_TYPES.values())
def test_a_stored_kernel_is_read_by_the_reference_kernels(narrow):
    before = network((narrow.lowest, 0, narrow.highest), (8, 8, 8))
    model = flatbuffer.read(before)
    graph = flatbuffer.main_graph(model)
    dense = graph.operators[-1]
    assert flatbuffer.operator_name(model, dense) == 'FULLY_CONNECTED'
    index, readers = int(dense.inputs[1]), flatbuffer.consumers(graph)
    values = kernel_values(model, graph, index, readers, ('FULLY_CONNECTED',))
    store(model, graph.tensors[index], values, narrow)
    builtin = schema.BuiltinOperator.FULLY_CONNECTED
    dense.opcodeIndex = flatbuffer.opcode_index(model, builtin, narrow.version)
    after = flatbuffer.write(model)
    assert kernels(after)[-1][0] == narrow.name
    assert kernels(after)[-1][1].size == 80 // narrow.per_byte
    x = np.random.default_rng(1).integers(-128, 128, (1, 8, 8, 8), np.int8)
    expected = run(before, x, reference_kernels=True)
    np.testing.assert_array_equal(run(after, x, reference_kernels=True), expected)
