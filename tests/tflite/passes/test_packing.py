import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from tests.tflite.graphs import convert, fake_quant, kernel_fake_quant, kernels, run
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.dense import connect_fully
from tf_n2uq.tflite.passes.packing import pack_int4, pack_nibbles, unpack_nibbles
from tf_n2uq.tflite.passes.patches import unroll_convolutions
from tf_n2uq.tflite.running.interpreter import xnnpack_delegation


@hypothesis.given(st.lists(st.integers(-8, 7)))
def test_nibbles_unpack_to_what_was_packed(values):
    packed = pack_nibbles(np.asarray(values, np.int8))
    assert packed.shape == ((len(values) + 1) // 2,)
    assert unpack_nibbles(packed, len(values)).tolist() == values


def test_the_first_value_is_in_the_low_half():
    np.testing.assert_array_equal(pack_nibbles(np.int8([1, -1, 7])), np.uint8([0xF1, 0x07]))


def test_what_four_bits_cannot_hold_is_refused():
    with pytest.raises(ValueError, match=r'-8\.\.7, got -8\.\.8'):
        pack_nibbles(np.int8([-8, 8]))


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
    return flatbuffer.write(pack_int4(flatbuffer.read(content)))


def unrolled(content):
    return flatbuffer.write(unroll_convolutions(flatbuffer.read(content)))


# Channel counts that are odd leave a kernel's rows, or the whole kernel, with half a byte over.
@pytest.mark.parametrize('sizes', [(6, 8, 4), (3, 8, 5), (5, 7, 3), (1, 3, 5)])
@pytest.mark.parametrize('levels', [(-3, -1, 1, 3), (-8, -5, 0, 7)])
def test_packed_kernels_give_the_same_results(sizes, levels):
    before = network(levels, sizes)
    after = packed(before)
    assert [kind for kind, _ in kernels(after)] == ['INT4', 'INT8', 'INT4', 'INT4']
    x = np.random.default_rng(1).integers(-128, 128, (1, 8, 8, sizes[0]), np.int8)
    expected = run(before, x, reference_kernels=True)
    assert len(np.unique(expected)) > 2
    np.testing.assert_array_equal(run(after, x, reference_kernels=True), expected)


@pytest.mark.parametrize('sizes', [(6, 8, 4), (3, 8, 5), (5, 7, 3), (1, 3, 5)])
def test_xnnpack_takes_packed_kernels_after_unrolling_with_the_same_results(sizes):
    before = network((-3, -1, 1, 3), sizes)
    after = packed(unrolled(before))
    assert [kind for kind, _ in kernels(after)] == ['INT4', 'INT8', 'INT4', 'INT4']
    delegation = xnnpack_delegation(after)
    assert (delegation.partitions, delegation.coverage) == (1, 1.0)
    x = np.random.default_rng(1).integers(-128, 128, (1, 8, 8, sizes[0]), np.int8)
    np.testing.assert_array_equal(run(after, x), run(before, x))


def test_packing_halves_the_kernels():
    before = network((-3, -1, 1, 3), (32, 64, 64))
    after = packed(before)
    sizes = [values.size for _, values in kernels(before) if values.shape[0] != 1]
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
    pack_int4(model)
    assert flatbuffer.type_name(graph.tensors[convolution.inputs[1]]) == 'INT8'


def test_two_layers_with_one_kernel_keep_one_copy():
    model = flatbuffer.read(network((-3, -1, 1, 3)))
    graph = flatbuffer.main_graph(model)
    graph.operators.append(graph.operators[0])
    buffers = len(model.buffers)
    pack_int4(model)
    assert flatbuffer.type_name(graph.tensors[graph.operators[0].inputs[1]]) == 'INT4'
    assert len(model.buffers) <= buffers


def test_packing_twice_changes_nothing():
    once = packed(network((-3, -1, 1, 3)))
    assert packed(once) == once
