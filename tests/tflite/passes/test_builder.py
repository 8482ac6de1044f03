"""Operators that a `Builder` appends, by the numbers that the file then gives."""

import numpy as np
import pytest
import tensorflow as tf

from tests.tflite.graphs import convert, fake_quant, kernel_fake_quant, operators, run
from tf_n2uq._compat.tflite_schema import schema
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.builder import MOST_CONCATENATED, Builder

SHAPE = (1, 4, 6, 3)
ZERO_POINT = -7
X = np.random.default_rng(0).integers(-60, 60, SHAPE).astype(np.int8)


def doubled(x):
    return fake_quant(fake_quant(x, 0.1, ZERO_POINT) * 2.0, 0.2, ZERO_POINT)


@pytest.fixture(scope='module')
def content():
    """A file of one operator, whose output has the zero point of its input."""
    return convert(doubled, list(SHAPE))


class Edit:
    """A builder on a file, and the tensor that the file's operators write."""

    def __init__(self, content):
        self.model = flatbuffer.read(content)
        self.graph = flatbuffer.main_graph(self.model)
        self.builder = Builder(self.model, self.graph, 'new')
        self.run = []
        self.source = int(self.graph.outputs[0])

    def finished(self, output):
        self.graph.operators.extend(self.run)
        self.graph.outputs = np.asarray([output], np.int32)
        self.model.signatureDefs = None
        return flatbuffer.write(self.model)


def both(content, output):
    """The integers that the file gives before and after an edit."""
    return run(content, X).astype(int), run(output, X).astype(int)


def test_zeros_are_padded_as_the_zero_point(content):
    edit = Edit(content)
    amounts = [(0, 0), (1, 2), (0, 3), (0, 1)]
    before, after = both(content, edit.finished(edit.builder.pad(edit.run, edit.source, amounts)))
    np.testing.assert_array_equal(after, np.pad(before, amounts, constant_values=ZERO_POINT))


def test_reshapes_and_slices_keep_the_batch_axis(content):
    edit = Edit(content)
    rows = edit.builder.reshape(edit.run, edit.source, (4, 18))
    part = edit.builder.slice(edit.run, rows, (1, 3), (2, 6))
    before, after = both(content, edit.finished(part))
    np.testing.assert_array_equal(after, before.reshape(1, 4, 18)[:, 1:3, 3:9])


@pytest.mark.parametrize('count', [2, MOST_CONCATENATED, 2 * MOST_CONCATENATED + 1])
def test_no_concatenation_joins_more_than_xnnpack_takes(content, count):
    edit = Edit(content)
    joined = edit.builder.concatenate(edit.run, [edit.source] * count)
    assert max(len(operator.inputs) for operator in edit.run) <= MOST_CONCATENATED
    before, after = both(content, edit.finished(joined))
    np.testing.assert_array_equal(after, np.concatenate([before] * count, axis=-1))


def test_where_nothing_is_to_be_done_there_is_no_operator(content):
    edit = Edit(content)
    builder = edit.builder
    assert builder.pad(edit.run, edit.source, [(0, 0)] * 4) == edit.source
    assert builder.reshape(edit.run, edit.source, SHAPE[1:]) == edit.source
    assert builder.slice(edit.run, edit.source, (0, 0, 0), SHAPE[1:]) == edit.source
    assert builder.concatenate(edit.run, [edit.source]) == edit.source
    assert edit.run == []


def test_equal_constants_are_one_tensor(content):
    edit = Edit(content)
    for _ in range(2):
        edit.builder.pad(edit.run, edit.source, [(0, 0), (1, 1), (0, 0), (0, 0)])
    first, second = edit.run
    assert first.inputs[1] == second.inputs[1]
    assert first.outputs[0] != second.outputs[0]


def test_new_tensors_have_scale_zero_point_and_a_name_of_their_own(content):
    edit = Edit(content)
    padded = edit.graph.tensors[
        edit.builder.pad(edit.run, edit.source, [(0, 0), (1, 1), (0, 0), (0, 0)])
    ]
    source = edit.graph.tensors[edit.source]
    assert flatbuffer.zero_point_of(padded) == ZERO_POINT
    assert flatbuffer.scales_of(padded) == flatbuffer.scales_of(source)
    assert flatbuffer.text(padded.name).startswith('new_')


def test_a_kernel_multiplies_the_last_axis_and_a_bias_is_added(content):
    edit = Edit(content)
    integers = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, -1]], np.int8)
    scales = np.array([1, 1, 1, 2])
    kernel = edit.builder.scaled(integers, schema.TensorType.INT8, scales)
    bias = np.array([0, 3, -4, 5], np.int32)
    scale = float(flatbuffer.scales_of(edit.graph.tensors[edit.source])[0])
    index = edit.builder.scaled(bias, schema.TensorType.INT32, scales * scale)
    output = edit.finished(edit.builder.multiply(edit.run, edit.source, kernel, index))
    before, after = both(content, output)
    expected = ((before - ZERO_POINT) @ integers.T + bias) * scales + ZERO_POINT
    np.testing.assert_array_equal(after, np.clip(expected, -128, 127))


def test_constants_have_a_scale_and_a_zero_point_for_each_index_of_the_first_axis(content):
    edit = Edit(content)
    tensor = edit.graph.tensors[
        edit.builder.scaled(np.ones((2, 3), np.int8), schema.TensorType.INT8, np.array([0.5, 2]))
    ]
    np.testing.assert_array_equal(flatbuffer.scales_of(tensor), [0.5, 2])
    np.testing.assert_array_equal(tensor.quantization.zeroPoint, [0, 0])
    assert tensor.quantization.quantizedDimension == 0


def test_a_fully_connected_operator_takes_the_place_of_a_convolution():
    kernel = np.random.default_rng(0).integers(-127, 128, (1, 1, 3, 4)) * 0.01

    def convolution(x):
        x = tf.nn.conv2d(fake_quant(x, 0.1), kernel_fake_quant(kernel, np.full(4, 0.01)), 1, 'SAME')
        return fake_quant(tf.nn.relu(x + np.arange(4.0, dtype=np.float32)), 0.1)

    content = convert(convolution, list(SHAPE))
    edit = Edit(content)
    (operator,) = edit.graph.operators
    edit.builder.fully_connected(edit.run, operator, int(operator.inputs[0]))
    weights = edit.graph.tensors[operator.inputs[1]]
    weights.shape = np.asarray([4, 3], np.int32)
    edit.graph.operators = []
    output = edit.finished(int(operator.outputs[0]))
    assert operators(output) == ['FULLY_CONNECTED']
    np.testing.assert_array_equal(*both(content, output))
