"""The names and the order of a file's inputs and outputs, as users of the Keras model know them."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tests.networks import annotate, quantize
from tf_n2uq.graph.model_ends import input_names
from tf_n2uq.tflite import convert, inspect, make_interpreter
from tf_n2uq.tflite.signature_names import float_output_names

_layers = keras.layers


def two_inputs(outputs_of, inputs_of=list):
    """Three heads of 3, 2 and 4 values, made in this order, behind two inputs."""
    ends = [keras.Input((6, 6, 2), name=name) for name in ('z_left', 'a_right')]
    x = _layers.Concatenate()([_layers.Conv2D(4, 3)(end) for end in ends])
    x = _layers.GlobalAveragePooling2D()(x)
    heads = [
        _layers.Dense(size, name=name)(x) for name, size in (('sky', 3), ('road', 2), ('car', 4))
    ]
    return keras.Model(inputs_of(ends), outputs_of(heads))


def calibrated(model, **scheme):
    model = quantize(model, **scheme)
    data = arrays(model, 6)
    tf_n2uq.calibrate(model, tf.data.Dataset.from_tensors((nested(model, data),)), verbose=0)
    return model


def arrays(model, count):
    rng = np.random.default_rng(0)
    return [rng.random((count, *each.shape[1:])).astype(np.float32) for each in model.inputs]


def nested(model, data):
    """Inputs in the form in which a model is called."""
    names = input_names(model)
    if isinstance(model.input, dict):
        return dict(zip(names, data, strict=True))
    return tuple(data) if len(data) > 1 else data[0]


def run_by_name(content, data):
    """The outputs by name, as numbers. The inputs are arrays by name."""
    runner = make_interpreter(content).get_signature_runner()
    inputs, outputs = runner.get_input_details(), runner.get_output_details()
    given = {}
    for name, values in data.items():
        scale, zero = inputs[name]['quantization']
        if scale:
            limits = np.iinfo(inputs[name]['dtype'])
            values = np.clip(np.rint(values / scale) + zero, limits.min, limits.max)
        given[name] = values.astype(inputs[name]['dtype'])
    got = {}
    for name, values in runner(**given).items():
        scale, zero = outputs[name]['quantization']
        got[name] = (values.astype(np.float32) - zero) * scale if scale else values
    return got


ENDS = {
    'list': (list, list, ['z_left', 'a_right'], ['sky', 'road', 'car']),
    'another order': (
        lambda heads: [heads[2], heads[0], heads[1]],
        lambda ends: ends[::-1],
        ['a_right', 'z_left'],
        ['car', 'sky', 'road'],
    ),
    'tuple': (tuple, tuple, ['z_left', 'a_right'], ['sky', 'road', 'car']),
    'dict': (
        lambda heads: dict(zip(['z', 'a', 'm'], heads, strict=True)),
        lambda ends: dict(zip(['second', 'first'], ends, strict=True)),
        ['first', 'second'],
        ['a', 'm', 'z'],
    ),
    'nested': (
        lambda heads: {'all': heads[:2], 'last': heads[2]},
        list,
        ['z_left', 'a_right'],
        ['sky', 'road', 'car'],
    ),
    'twice': (
        lambda heads: [heads[1], heads[0], heads[1]],
        list,
        ['z_left', 'a_right'],
        ['road', 'sky', 'road_1'],
    ),
}


@pytest.mark.parametrize('ends', ENDS.values(), ids=ENDS)
def test_names_and_order_are_those_of_the_keras_model(ends):
    outputs_of, inputs_of, inputs, outputs = ends
    model = calibrated(two_inputs(outputs_of, inputs_of))
    content = convert(model)
    data = arrays(model, 1)
    expected = [np.asarray(each) for each in tf.nest.flatten(model(nested(model, data)))]

    interpreter = make_interpreter(content)
    assert interpreter.get_signature_list() == {
        'serving_default': {'inputs': sorted(inputs), 'outputs': sorted(outputs)}
    }
    by_name = run_by_name(content, dict(zip(inputs, data, strict=True)))
    for name, values in zip(outputs, expected, strict=True):
        assert by_name[name].shape == values.shape
        np.testing.assert_allclose(by_name[name], values, atol=0.03)

    interpreter.allocate_tensors()
    for details, values in zip(interpreter.get_input_details(), data, strict=True):
        interpreter.set_tensor(details['index'], values)
    interpreter.invoke()
    for name, details in zip(outputs, interpreter.get_output_details(), strict=True):
        np.testing.assert_array_equal(interpreter.get_tensor(details['index']), by_name[name])

    report = inspect(content)
    assert [each.name for each in report.inputs] == inputs
    assert [each.name for each in report.outputs] == outputs


@pytest.mark.parametrize('interface', [tf.int8, tf.uint8])
@pytest.mark.parametrize('form', ['another order', 'dict', 'twice'])
def test_a_file_of_an_integer_interface_has_the_same_names(form, interface):
    outputs_of, inputs_of, inputs, outputs = ENDS[form]
    model = calibrated(two_inputs(outputs_of, inputs_of))
    content = convert(model, inference_input_type=interface, inference_output_type=interface)
    data = arrays(model, 1)
    got = run_by_name(content, dict(zip(inputs, data, strict=True)))
    expected = tf.nest.flatten(model(nested(model, data)))
    for name, values in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(got[name], values, atol=0.03)
    interpreter = make_interpreter(content)
    shapes = [tuple(each['shape']) for each in interpreter.get_output_details()]
    assert shapes == [tuple(each.shape) for each in expected]
    ends = [*interpreter.get_input_details(), *interpreter.get_output_details()]
    assert {each['dtype'] for each in ends} == {interface.as_numpy_dtype}


def test_litert_counts_inputs_and_outputs_in_the_order_of_the_model(tmp_path):
    compiled_model = pytest.importorskip('ai_edge_litert.compiled_model')
    outputs_of, inputs_of, inputs, outputs = ENDS['another order']
    path = tmp_path / 'model.tflite'
    path.write_bytes(convert(calibrated(two_inputs(outputs_of, inputs_of))))
    signature = compiled_model.CompiledModel.from_file(str(path)).get_signature_by_index(0)
    assert (signature['inputs'], signature['outputs']) == (inputs, outputs)


def one_input(outputs_of):
    image = keras.Input((6, 6, 3), name='photo')
    return keras.Model(image, outputs_of(image))


LAST_LAYERS = {
    'kernel': lambda x: _layers.Conv2D(4, 3, name='last')(x),
    'normalization': lambda x: _layers.BatchNormalization(name='last')(_layers.Conv2D(4, 3)(x)),
    'activation inside of a kernel': lambda x: _layers.Dense(4, 'softmax', name='last')(
        _layers.Flatten()(x)
    ),
    'activation behind a range': lambda x: _layers.Conv2D(4, 3, activation='tanh', name='last')(x),
    'activation of its own': lambda x: _layers.Activation('relu', name='last')(
        _layers.Conv2D(4, 3, name='inner')(x)
    ),
    'separable': lambda x: _layers.SeparableConv2D(4, 3, name='last')(x),
    'separable with an activation': lambda x: _layers.SeparableConv2D(
        4, 3, activation='relu', name='last'
    )(x),
    'moving': lambda x: _layers.Flatten(name='last')(_layers.Conv2D(4, 3)(x)),
    'pooling with a like name': lambda x: _layers.Activation('relu', name='last')(
        _layers.MaxPooling2D(name='la')(_layers.Conv2D(4, 3)(x))
    ),
    'user named as the rewrite names': lambda x: _layers.Activation('relu', name='last_relu')(
        _layers.MaxPooling2D(name='last')(_layers.Conv2D(4, 3)(x))
    ),
}


@pytest.mark.parametrize('last', LAST_LAYERS.values(), ids=LAST_LAYERS)
@pytest.mark.parametrize('tensor_bits', [8, None])
def test_an_output_has_the_name_of_its_layer_in_the_float_model(last, tensor_bits):
    model = one_input(last)
    quantized = quantize(model, bits=2, tensor_bits=tensor_bits)
    assert float_output_names(quantized) == model.output_names
    assert input_names(quantized) == ['photo']


def test_the_input_itself_may_be_an_output():
    model = one_input(lambda x: [x, _layers.Conv2D(2, 3, name='kernel')(x)])
    content = convert(calibrated(model))
    (signature,) = make_interpreter(content).get_signature_list().values()
    assert signature == {'inputs': ['photo'], 'outputs': ['kernel', 'photo']}


def test_each_bit_width_of_an_adaptive_model_has_the_same_names():
    model = tfmot.quantization.keras.quantize_apply(
        annotate(two_inputs(list)), scheme=tf_n2uq.AdaBitsScheme((8, 2))
    )
    data = tf.data.Dataset.from_tensors((nested(model, arrays(model, 6)),))
    tf_n2uq.calibrate(model, data, verbose=0)
    for bits in (8, 2):
        report = inspect(convert(model, bits=bits))
        assert [each.name for each in report.inputs] == ['z_left', 'a_right']
        assert [each.name for each in report.outputs] == ['sky', 'road', 'car']


def test_a_model_that_was_saved_and_loaded_has_the_same_names(tmp_path):
    model = calibrated(two_inputs(lambda heads: [heads[2], heads[0]]))
    model.save(tmp_path / 'model.keras')
    loaded = keras.models.load_model(tmp_path / 'model.keras')
    assert float_output_names(loaded) == float_output_names(model) == ['car', 'sky']
    assert input_names(loaded) == ['z_left', 'a_right']


def test_names_may_hold_any_characters():
    model = two_inputs(
        lambda heads: {'the road': heads[0], 'größe/x:0': heads[1]},
        lambda ends: {'my photo': ends[0], 'the-other.one': ends[1]},
    )
    model = calibrated(model)
    data = dict(zip(input_names(model), arrays(model, 1), strict=True))
    got = run_by_name(convert(model), data)
    assert set(got) == {'the road', 'größe/x:0'}
