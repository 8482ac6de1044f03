import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import tf_n2uq
from tests.networks import images_for, quantize
from tests.tflite.graphs import convert, fake_quant
from tf_n2uq.tflite import inspect, predict
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.reports import acceptance
from tf_n2uq.tflite.reports.acceptance import check_integer_file, interrupting
from tf_n2uq.tflite.running.interpreter import Delegation, xnnpack_delegation

_layers = keras.layers


@keras.saving.register_keras_serializable(package='tests')
class Wave(_layers.Layer):
    """A layer that no scheme knows."""

    def build(self, input_shape):
        self.scale = self.add_weight('scale', (input_shape[-1],), initializer='ones')

    def call(self, inputs):
        return tf.sin(inputs) * self.scale


def calibrated(middle, **scheme):
    image = keras.Input((6, 6, 3))
    x = middle(_layers.Conv2D(4, 3, padding='same')(image))
    x = _layers.Conv2D(4, 3, padding='same')(x)
    model = keras.Model(image, _layers.Dense(4)(_layers.GlobalAveragePooling2D()(x)))
    model = quantize(model, bits=2, **scheme)
    images = images_for(model)
    tf_n2uq.calibrate(model, images, verbose=0)
    return model, images


def both_ways(x):
    """What is read by more than a quantizer, so that it needs an operator."""
    return _layers.Add()([x, _layers.ELU(name='elu')(x)])


CASES = {
    'an unknown layer': (Wave(name='wave'), {'layers': {'wave': None}}, r'wave \(Wave\)'),
    'a function without an operator': (both_ways, {}, r'elu \(ELU\)'),
    'an interruption': (_layers.Softmax(name='inner'), {}, "1 SOFTMAX, first 'inner"),
}


@pytest.mark.parametrize('name', CASES)
def test_what_cannot_be_is_named_or_let_be(name, caplog):
    middle, scheme, message = CASES[name]
    model, images = calibrated(middle, **scheme)
    with pytest.raises(ValueError, match=message + '(?s:.*)allow_float=True'):
        tf_n2uq.tflite.convert(model)
    caplog.clear()
    content = tf_n2uq.tflite.convert(model, allow_float=True)
    assert 'not integer-only, or not one XNNPACK partition' in caplog.text
    np.testing.assert_allclose(
        predict(content, images), model.predict(images, verbose=0), atol=1e-5
    )
    found = inspect(content)
    assert found.integer_only == (name == 'an interruption')


def test_a_file_without_need_for_it_is_the_same_with_floats_allowed(caplog):
    model, _ = calibrated(_layers.ReLU())
    content = tf_n2uq.tflite.convert(model)
    caplog.clear()
    assert tf_n2uq.tflite.convert(model, allow_float=True) == content
    assert not caplog.text


@pytest.mark.parametrize('interface', [tf.int8, tf.uint8, tf.float32])
def test_what_is_before_and_after_the_partition_does_not_interrupt_it(interface):
    def function(x):
        x = tf.nn.softmax(fake_quant(tf.reduce_mean(fake_quant(x, 0.05), [1, 2]), 0.02))
        return fake_quant(x, 1 / 256, -128)

    content = convert(function, [1, 4, 4, 5], interface)
    file = flatbuffer.read(content)
    assert interrupting(file, xnnpack_delegation(content).inside) == []
    check_integer_file(file, content, 'xnnpack')


def test_a_file_that_the_interpreter_cannot_prepare_is_refused():
    content = convert(lambda x: fake_quant(fake_quant(x, 0.05) + 1.0, 0.05), [1, 4, 4, 5])
    file = flatbuffer.read(content)
    graph = flatbuffer.main_graph(file)
    graph.operators[0].inputs = np.asarray([0, 0, 0], np.int32)
    with pytest.raises(ValueError, match='does not load .*the interpreter can prepare'):
        check_integer_file(file, flatbuffer.write(file), 'xnnpack')


@pytest.mark.parametrize('allow_float', [False, True])
def test_a_machine_without_xnnpack_says_that_nobody_has_checked(allow_float, monkeypatch, caplog):
    model, _ = calibrated(_layers.ReLU())
    without = Delegation(partitions=0, inside=(), operators=9)
    monkeypatch.setattr(acceptance, 'xnnpack_delegation', lambda content: without)
    caplog.clear()
    tf_n2uq.tflite.convert(model, target='micro', allow_float=allow_float)
    assert not caplog.text
    tf_n2uq.tflite.convert(model, allow_float=allow_float)
    assert caplog.text.count('XNNPACK computes nothing of the file on this machine') == 1
    assert 'Call tf_n2uq.tflite.inspect on a machine with XNNPACK' in caplog.text
