import numpy as np
import pytest
import tensorflow as tf

from tests.tflite.graphs import convert, fake_quant
from tf_n2uq._compat.tflite_schema import schema
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.reports.verify import check_integer_only, integer_violations


def pooled(x):
    return fake_quant(tf.nn.max_pool2d(fake_quant(x, 0.02), 2, 2, 'SAME'), 0.02)


@pytest.mark.parametrize('interface', [tf.float32, tf.int8, tf.uint8])
def test_any_interface_around_an_integer_graph_is_accepted(interface):
    model = flatbuffer.read(convert(pooled, [1, 4, 4, 3], interface))
    assert integer_violations(model) == []
    check_integer_only(model)


def test_a_float_operator_is_named():
    def unquantized(x):
        return fake_quant(tf.sin(fake_quant(x, 0.02)), 0.02)

    model = flatbuffer.read(convert(unquantized, [1, 4, 4, 3]))
    with pytest.raises(ValueError, match='a TFLite file that computes in integers') as caught:
        check_integer_only(model)
    assert 'from DEQUANTIZE: FLOAT32' in str(caught.value)
    assert 'from SIN: FLOAT32' in str(caught.value)


def test_a_float_model_is_refused_at_its_interface_too():
    model = flatbuffer.read(convert(lambda x: tf.nn.relu(x) * 3.0, [1, 4], tf.float32))
    assert any('FLOAT32' in line for line in integer_violations(model))


def test_computed_shapes_are_refused():
    def shaped(x):
        x = fake_quant(x, 0.02)
        size = tf.shape(x)[0]
        return fake_quant(tf.reshape(x, tf.stack([size, 48])), 0.02)

    model = flatbuffer.read(convert(shaped, [None, 4, 4, 3]))
    violations = integer_violations(model)
    assert any('from SHAPE: INT32' in line for line in violations)


def test_custom_operators_are_refused():
    model = flatbuffer.read(convert(pooled, [1, 4, 4, 3]))
    code = model.operatorCodes[flatbuffer.main_graph(model).operators[0].opcodeIndex]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode = b'MyOwn'
    with pytest.raises(ValueError, match='operator CUSTOM:MyOwn: not built in'):
        check_integer_only(model)


def test_a_long_list_is_cut():
    def deep(x):
        for _ in range(30):
            x = tf.sin(x)
        return x

    model = flatbuffer.read(convert(deep, [1, 4], tf.float32))
    with pytest.raises(ValueError, match=r'and \d+ more$'):
        check_integer_only(model)
    assert len(integer_violations(model)) >= 29
    assert np.all([line.startswith('tensor') for line in integer_violations(model)])
