import importlib.util

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import tf_n2uq
from tests.networks import NETWORKS, images_for, quantized_network
from tests.tflite.graphs import kernels, operators, run
from tf_n2uq.tflite.passes import flatbuffer

tflite_micro = pytest.importorskip('tflite_micro')

AMPLE = 1 << 24


def convert(model, **options):
    """A file with integers at its ends, which is what can be compared exactly."""
    return tf_n2uq.tflite.convert(
        model,
        target='micro',
        inference_input_type=tf.int8,
        inference_output_type=tf.int8,
        **options,
    )


def interpreter_of(content, arena_size=AMPLE):
    return tflite_micro.runtime.Interpreter.from_bytes(content, arena_size=arena_size)


def run_micro(interpreter, x):
    interpreter.set_input(x, 0)
    interpreter.invoke()
    return interpreter.get_output(0)


def inputs_for(content, images):
    """Images as the file takes them, one by one."""
    details = tf_n2uq.tflite.make_interpreter(content).get_input_details()[0]
    scale, zero_point = details['quantization']
    integers = np.clip(np.rint(images / scale) + zero_point, -128, 127).astype(np.int8)
    return integers[:, np.newaxis]


def check_same_integers(content, images):
    interpreter = interpreter_of(content)
    outputs = []
    for x in inputs_for(content, images):
        outputs.append(run_micro(interpreter, x))
        np.testing.assert_array_equal(outputs[-1], run(content, x, reference_kernels=True))
    assert len(np.unique(outputs)) > 2


@pytest.mark.parametrize('name', NETWORKS)
def test_every_pattern_gives_the_integers_of_the_reference_kernels(name):
    model = quantized_network(name)
    content = convert(model)
    assert not any(code.customCode for code in flatbuffer.read(content).operatorCodes)
    inspection = tf_n2uq.tflite.inspect(content)
    assert inspection.integer_only
    assert 'FULLY_CONNECTED' not in inspection.operators
    check_same_integers(content, images_for(model, 16))


@pytest.mark.parametrize('bits', [3, 4, 5, 8])
def test_every_bit_width_gives_the_integers_of_the_reference_kernels(bits):
    model = quantized_network('depthwise', bits)
    check_same_integers(convert(model), images_for(model, 16))


@pytest.mark.parametrize(('name', 'bits'), [('depthwise', 2), ('depthwise', 4), ('dense_only', 3)])
def test_kernels_are_int4_wherever_their_integers_fit(name, bits):
    stored = kernels(convert(quantized_network(name, bits)))
    for kind, values in stored:
        assert kind == 'INT4' or values.min() < -8 or values.max() > 7
    assert {kind for kind, _ in stored[1:-1]} == {'INT8' if bits == 4 else 'INT4'}


def test_the_inspection_reports_what_is_packed():
    layers = tf_n2uq.tflite.inspect(convert(quantized_network('depthwise'))).layers
    assert [(layer.operator, layer.kernel_type) for layer in layers] == [
        ('CONV_2D', 'INT8'),
        ('DEPTHWISE_CONV_2D', 'INT4'),
        ('CONV_2D', 'INT4'),
        ('DEPTHWISE_CONV_2D', 'INT4'),
        ('CONV_2D', 'INT8'),
    ]
    assert [layer.comparators for layer in layers] == [0, 3, 3, 3, 0]


def test_xnnpack_predicts_the_same_from_its_own_file():
    model = quantized_network('residual')
    images = images_for(model, 32)
    outputs = [
        tf_n2uq.tflite.predict(content, images)
        for content in (convert(model), tf_n2uq.tflite.convert(model))
    ]
    np.testing.assert_array_equal(outputs[0].argmax(axis=-1), outputs[1].argmax(axis=-1))


@pytest.mark.parametrize('interface', [tf.uint8, tf.float32])
def test_the_interface_may_be_of_another_type(interface):
    model = quantized_network('residual')
    content = tf_n2uq.tflite.convert(
        model,
        target='micro',
        inference_input_type=interface,
        inference_output_type=interface,
    )
    images = images_for(model, 8)[:, np.newaxis]
    interpreter = interpreter_of(content)
    for image in images:
        x = (image * 255 if interface == tf.uint8 else image).astype(interface.as_numpy_dtype)
        expected = run(content, x, reference_kernels=True)
        np.testing.assert_array_equal(run_micro(interpreter, x), expected)


def test_an_unknown_target_is_refused():
    model = quantized_network('dense_only')
    for target in ('tpu', None, ['micro']):
        with pytest.raises(ValueError, match="target: expected 'xnnpack' or 'micro', got"):
            tf_n2uq.tflite.convert(model, target=target)


@pytest.mark.parametrize('bits', [2, 4])
def test_the_arena_is_the_least_that_gives_the_same_integers(bits):
    model = quantized_network('residual', bits)
    content = convert(model)
    arena = tf_n2uq.tflite.micro_arena(content)
    assert arena % 16 == 0
    assert arena >= 8 * 8 * 8 * 3  # the largest tensor as input, kernel's sum and comparator
    (x, *_) = inputs_for(content, images_for(model, 1))
    expected = run_micro(interpreter_of(content), x)
    np.testing.assert_array_equal(run_micro(interpreter_of(content, arena), x), expected)
    with pytest.raises(RuntimeError, match='failed to allocate'):
        interpreter_of(content, arena - 16)


def test_what_the_interpreter_refuses_is_said():
    content = tf_n2uq.tflite.convert(quantized_network('dense_only'), optimize_for='size')
    assert 'FULLY_CONNECTED' in operators(content)
    with pytest.raises(ValueError, match='Lite Micro can prepare, got .*FULLY_CONNECTED'):
        tf_n2uq.tflite.micro_arena(content)


def test_what_is_no_file_has_no_arena():
    with pytest.raises(TypeError, match='content: expected the bytes'):
        tf_n2uq.tflite.micro_arena('model.tflite')
    with pytest.raises(ValueError, match='expected a TFLite file'):
        tf_n2uq.tflite.micro_arena(b'not a model')


def test_without_the_interpreter_the_error_says_what_to_install(monkeypatch):
    content = convert(quantized_network('dense_only'))
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(ImportError, match='pip install tflite-micro'):
        tf_n2uq.tflite.micro_arena(content)


@pytest.mark.parametrize('bits', [2, 4])
def test_the_network_of_the_demo_gives_the_integers_of_the_reference_kernels(bits):
    data = tf_n2uq.data.load('digits')
    model = tf_n2uq.models.build('resnet8', bits, input_shape=data.image_shape, classes=10)
    images, _ = next(iter(data.test.dataset(32)))
    tf_n2uq.calibrate(model, images, verbose=0)
    content = convert(model)
    check_same_integers(content, images)
    assert tf_n2uq.tflite.micro_arena(content) < 100_000


def mobilenet(images):
    """With a float network's kernels and batch statistics: fresh ones would let its signal fade."""
    options = {'width': 0.35, 'input_shape': images.shape[1:], 'classes': 10}
    source = tf_n2uq.models.build('mobilenet_v2', **options)
    for layer in source.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    source(images, training=True)
    model = tf_n2uq.models.build('mobilenet_v2', bits=4, **options)
    targets = {layer.name.removeprefix('quant_'): layer for layer in model.layers}
    for layer in source.layers:
        if layer.weights:
            target = targets[layer.name]
            getattr(target, 'layer', target).set_weights(layer.get_weights())
    return model


@pytest.mark.nightly
def test_a_mobilenet_gives_the_integers_of_the_reference_kernels():
    images = images_for(keras.Sequential([keras.Input((96, 96, 3))]), 16)
    model = mobilenet(images)
    tf_n2uq.calibrate(model, images, verbose=0)
    content = convert(model, representative_dataset=images)
    assert tf_n2uq.tflite.inspect(content).integer_only
    check_same_integers(content, images[:4])
    assert tf_n2uq.tflite.micro_arena(content) < 1_000_000
