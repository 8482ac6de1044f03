import numpy as np
import pytest
import tensorflow as tf

from tests.tflite.graphs import convert, fake_quant, kernel_fake_quant, kernels, operators, run
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.builder import MOST_CONCATENATED, Builder
from tf_n2uq.tflite.passes.narrow_types import INT2, INT4
from tf_n2uq.tflite.passes.packing import kernel_values, store
from tf_n2uq.tflite.passes.patches import Patches
from tf_n2uq.tflite.reports.verify import check_integer_only
from tf_n2uq.tflite.running.interpreter import make_interpreter, xnnpack_delegation


def convolution(taps, channels, size, levels=(-3.0, -1.0, 1.0, 3.0), filters=6, **options):
    """One convolution with bias and ReLU, on an input with a zero point."""
    rng = np.random.default_rng(0)
    scale = rng.uniform(0.01, 0.05, filters).astype(np.float32)
    kernel = rng.choice(levels, (*taps, channels, filters)).astype(np.float32) * scale
    bias = rng.normal(size=filters).astype(np.float32)
    options = {'strides': 1, 'padding': 'SAME', **options}

    def layer(x):
        x = fake_quant(x, 0.02, -7)
        x = tf.nn.conv2d(x, kernel_fake_quant(kernel, scale), **options)
        return fake_quant(tf.nn.relu(x + bias), 0.02, -128)

    return convert(layer, [1, *size, channels])


def unrolled(content, narrow=INT4):
    """The file with each CONV_2D as patches and FULLY_CONNECTED, whether that pays or not."""
    model = flatbuffer.read(content)
    graph = flatbuffer.main_graph(model)
    builder, instead = Builder(model, graph, 'patches'), {}
    for operator in graph.operators:
        patches, run = Patches.of(graph, operator), []  # type: ignore[var-annotated]
        index = int(operator.inputs[1])
        readers = flatbuffer.consumers(graph)
        values = kernel_values(model, graph, index, readers, ('CONV_2D',))
        # XNNPACK takes some numbers of features only. So there may be channels of zeros.
        filled = -values.shape[-1] % narrow.per_byte  # type: ignore[union-attr]
        padding = [*patches.padding[:-1], (0, filled)]
        image = builder.pad(run, int(operator.inputs[0]), padding)
        values = np.pad(values, [(0, 0)] * 3 + [(0, filled)]).reshape(len(values), -1)
        store(model, graph.tensors[index], values, narrow)
        builder.fully_connected(run, operator, patches.gather(builder, run, image))
        if max(patches.y.taps, patches.x.taps) <= MOST_CONCATENATED:
            assert len(run) <= 1 + patches.operators + (filled > 0)
        instead[id(operator)] = run
    flatbuffer.replace_operators(graph, instead)
    flatbuffer.drop_unused(model)
    check_integer_only(model)
    return flatbuffer.write(model)


@pytest.mark.parametrize('stride', [1, 2, 3])
@pytest.mark.parametrize('padding', ['SAME', 'VALID'])
@pytest.mark.parametrize('channels', [4, 3])
@pytest.mark.parametrize('taps', [(1, 1), (3, 3), (2, 2), (5, 3), (1, 7)])
def test_patches_give_what_the_convolution_gives(taps, channels, padding, stride):
    size = (9, 10)
    before = convolution(taps, channels, size, padding=padding, strides=stride)
    after = unrolled(before)
    assert operators(before) == ['CONV_2D']
    assert operators(after)[-1] == 'FULLY_CONNECTED'
    x = np.random.default_rng(1).integers(-128, 128, (1, *size, channels), np.int8)
    expected = run(before, x)
    assert len(np.unique(expected)) > 10
    np.testing.assert_array_equal(run(after, x), expected)
    # Unlike a convolution, FULLY_CONNECTED rounds the same way in every implementation.
    np.testing.assert_array_equal(run(after, x, reference_kernels=True), expected)


@pytest.mark.parametrize('dilation', [2, 3])
def test_dilated_convolutions_too(dilation):
    before = convolution((3, 3), 4, (9, 10), dilations=dilation)
    x = np.random.default_rng(1).integers(-128, 128, (1, 9, 10, 4), np.int8)
    np.testing.assert_array_equal(run(unrolled(before), x), run(before, x))


@pytest.mark.parametrize(
    ('taps', 'stride', 'channels'), [(3, 1, 8), (3, 2, 8), (1, 1, 8), (1, 2, 8), (7, 2, 3)]
)
def test_patches_are_one_xnnpack_partition(taps, stride, channels):
    content = unrolled(convolution((taps, taps), channels, (12, 12), strides=stride))
    delegation = xnnpack_delegation(content)
    assert (delegation.partitions, delegation.coverage) == (1, 1.0)


@pytest.mark.parametrize('stride', [1, 2])
def test_patches_take_any_batch(stride):
    content = unrolled(convolution((3, 3), 3, (8, 8), strides=stride))
    x = np.random.default_rng(1).integers(-128, 128, (3, 8, 8, 3), np.int8)
    interpreter = make_interpreter(content, 1)
    interpreter.resize_tensor_input(interpreter.get_input_details()[0]['index'], x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]['index'], x)
    interpreter.invoke()
    outputs = interpreter.get_tensor(interpreter.get_output_details()[0]['index'])
    np.testing.assert_array_equal(outputs, np.concatenate([run(content, one[None]) for one in x]))


@pytest.mark.parametrize('channels', [8, 6])
def test_xnnpack_multiplies_patches_by_int2_kernels_too(channels):
    before = convolution((3, 3), channels, (9, 10), levels=(-2.0, -1.0, 0.0, 1.0), strides=2)
    after = unrolled(before, INT2)
    assert [kind for kind, _ in kernels(after)] == ['INT2']
    delegation = xnnpack_delegation(after)
    assert (delegation.partitions, delegation.coverage) == (1, 1.0)
    x = np.random.default_rng(1).integers(-128, 128, (1, 9, 10, channels), np.int8)
    expected = run(before, x)
    assert len(np.unique(expected)) > 10
    np.testing.assert_array_equal(run(after, x), expected)
    np.testing.assert_array_equal(run(after, x, reference_kernels=True), expected)


def test_equal_shape_constants_are_stored_once():
    def two(x):
        for number in range(2):
            kernel = np.full((3, 3, 4, 4), number + 1.0, np.float32)
            x = tf.nn.conv2d(fake_quant(x, 0.02), kernel_fake_quant(kernel, np.ones(4)), 1, 'SAME')
        return fake_quant(x, 0.02)

    content = unrolled(convert(two, [1, 8, 8, 4]))
    assert operators(content).count('STRIDED_SLICE') == 12
    model = flatbuffer.read(content)
    graph = flatbuffer.main_graph(model)
    constants = [
        (tensor.shape.tobytes(), flatbuffer.buffer_bytes(model, tensor))
        for tensor in graph.tensors
        if flatbuffer.type_name(tensor) == 'INT32' and len(flatbuffer.scales_of(tensor)) == 0
    ]
    assert len(set(constants)) == len(constants)
