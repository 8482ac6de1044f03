import numpy as np
import pytest
import tensorflow as tf

from tests.tflite.graphs import convert, fake_quant
from tf_n2uq._compat.tflite_schema import schema
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.narrow_types import INT4, NARROW_TYPES
from tf_n2uq.tflite.passes.packing import store
from tf_n2uq.tflite.reports.inspection_report import Undelegated
from tf_n2uq.tflite.reports.undelegated import undelegated
from tf_n2uq.tflite.running.interpreter import xnnpack_delegation

SHAPE = [1, 6, 6, 4]


def found_in(function):
    """The operators that XNNPACK really leaves of a file, with their reasons."""
    content = convert(function, SHAPE)
    return list(undelegated(flatbuffer.read(content), xnnpack_delegation(content).inside))


def ends_in_int8(function):
    return lambda x: fake_quant(function(fake_quant(x, 0.05)), 0.05)


def mirrored(x):
    return tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], 'REFLECT')


@pytest.mark.parametrize(
    ('function', 'name', 'reason'),
    [
        (tf.nn.softmax, 'SOFTMAX', 'no SOFTMAX of int8'),
        (mirrored, 'MIRROR_PAD', 'pads int8 with a constant only'),
        (lambda x: x[:, ::2, ::2], 'STRIDED_SLICE', 'slices without skipping values only'),
        (lambda x: tf.gather(x, [0, 3, 1], axis=1), 'GATHER', 'no GATHER of int8'),
    ],
)
def test_what_xnnpack_leaves_has_a_known_reason(function, name, reason):
    (left,) = found_in(ends_in_int8(function))
    assert (left.operator, left.count) == (name, 1)
    assert reason in left.reason


def test_operators_of_one_name_and_reason_are_counted():
    def function(x):
        for _ in range(2):
            x = fake_quant(tf.nn.softmax(fake_quant(x, 0.05)), 1 / 256, -128) * 9.0
        return fake_quant(x, 0.05)

    counts = {each.operator: each.count for each in found_in(function)}
    assert counts['SOFTMAX'] == 2


def test_an_operator_that_nothing_is_known_of_says_so():
    content = convert(lambda x: tf.math.floormod(x, 2.0), SHAPE, tf.float32)
    reasons = {each.operator: each.reason for each in undelegated(flatbuffer.read(content), ())}
    assert reasons['FLOOR_MOD'] == 'the reason is not known'


def test_operators_inside_of_partitions_are_left_out():
    model = flatbuffer.read(convert(ends_in_int8(tf.nn.softmax), SHAPE))
    count = len(flatbuffer.main_graph(model).operators)
    assert list(undelegated(model, range(count))) == []


def test_convolutions_with_narrow_kernels_and_custom_operators_have_reasons_of_their_own():
    kernel = tf.ones([1, 1, 4, 4]).numpy()

    def function(x):
        weights = tf.quantization.fake_quant_with_min_max_vars(kernel, -127.0, 127.0, 8, True)
        return tf.nn.conv2d(x, weights, 1, 'SAME')

    model = flatbuffer.read(convert(ends_in_int8(function), SHAPE))
    graph = flatbuffer.main_graph(model)
    (convolution,) = [
        each for each in graph.operators if flatbuffer.operator_name(model, each) == 'CONV_2D'
    ]
    weights = graph.tensors[convolution.inputs[1]]
    for narrow in NARROW_TYPES.values():
        store(model, weights, np.ones((4, 1, 1, 4), np.int8), narrow)
        reasons = {each.operator: each.reason for each in undelegated(model, ())}
        expected = f'XNNPACK takes {narrow.name} kernels in FULLY_CONNECTED only'
        assert reasons['CONV_2D'] == expected
    code = model.operatorCodes[convolution.opcodeIndex]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = b'MyOwn'
    own = Undelegated('CUSTOM:MyOwn', 1, 'XNNPACK has built-in operators only')
    assert own in list(undelegated(model, ()))


def test_an_odd_number_of_features_keeps_a_narrow_kernel_out_of_xnnpack():
    def function(x):
        weights = tf.quantization.fake_quant_with_min_max_vars(
            tf.ones([3, 4]), -127.0, 127.0, 8, True
        )
        return tf.matmul(tf.reshape(x, [-1, 3]), weights)

    model = flatbuffer.read(convert(ends_in_int8(function), [1, 4, 4, 3]))
    graph = flatbuffer.main_graph(model)
    (dense,) = [
        each
        for each in graph.operators
        if flatbuffer.operator_name(model, each) == 'FULLY_CONNECTED'
    ]
    store(model, graph.tensors[dense.inputs[1]], np.ones((4, 3), np.int8), INT4)
    dense.opcodeIndex = flatbuffer.opcode_index(
        model, schema.BuiltinOperator.FULLY_CONNECTED, INT4.version
    )
    inside = xnnpack_delegation(flatbuffer.write(model)).inside
    reasons = {each.operator: each.reason for each in undelegated(model, inside)}
    expected = 'XNNPACK takes INT4 kernels of a multiple of 2 input features only'
    assert reasons['FULLY_CONNECTED'] == expected
