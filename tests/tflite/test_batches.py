"""Files that take several images in one run."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import tf_n2uq
from tests.networks import images_for, quantize, quantized_network
from tf_n2uq.tflite import benchmark, compare, convert, evaluate, inspect, make_interpreter, predict
from tf_n2uq.tflite.__main__ import main

_layers = keras.layers
BATCH = 3
FORMS = {
    'latency': {'optimize_for': 'latency'},
    'size': {'optimize_for': 'size'},
    'micro': {'target': 'micro'},
}


def images_change_size(x):
    parts = [
        _layers.UpSampling2D(2)(x),
        _layers.UpSampling2D(2, interpolation='bilinear')(x),
        _layers.Conv2DTranspose(3, 3, strides=2, padding='same')(x),
        _layers.Resizing(12, 12, interpolation='bilinear')(_layers.MaxPooling2D()(x)),
        _layers.UpSampling2D(2)(_layers.AveragePooling2D(3, 1, padding='same')(x)),
    ]
    return _layers.Concatenate()(parts)


def lines_and_products(x):
    x = _layers.Dense(6)(_layers.LayerNormalization()(x))
    x = _layers.PReLU(keras.initializers.Constant(0.4), shared_axes=[1, 2])(x)
    x = _layers.Add()([x, _layers.Conv2D(6, 3, padding='same')(x)])
    gate = _layers.Conv2D(6, 1, activation='sigmoid')(
        _layers.GlobalAveragePooling2D(keepdims=True)(x)
    )
    return _layers.Multiply()([x, gate])


def series(x):
    x = _layers.Reshape((-1, x.shape[-1]))(_layers.Permute((2, 1, 3))(x))
    x = _layers.UpSampling1D(2)(_layers.Conv1D(6, 3, strides=2, activation='swish')(x))
    return _layers.DepthwiseConv1D(3)(_layers.Dense(6)(_layers.LayerNormalization()(x)))


PATTERNS = [images_change_size, lines_and_products, series]


@pytest.fixture(scope='module', params=PATTERNS, ids=lambda each: each.__name__)
def network(request):
    """A network of 4 bits with the pattern, which ends with a dense layer, and images."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((6, 6, 2))
    x = request.param(_layers.Conv2D(5, 3, padding='same', activation='relu')(inputs))
    x = _layers.Dense(16, activation='relu')(_layers.Flatten()(x))
    model = quantize(keras.Model(inputs, _layers.Dense(4)(x)), bits=4)
    images = np.random.default_rng(0).normal(size=(7, 6, 6, 2)).astype(np.float32)
    tf_n2uq.calibrate(model, images, verbose=0)
    return model, images


def run(content, images, reference_kernels):
    """The outputs for all images, run in batches of the file; the last batch is filled up."""
    interpreter = make_interpreter(content, 1, reference_kernels)
    interpreter.allocate_tensors()
    (source,), (result,) = interpreter.get_input_details(), interpreter.get_output_details()
    size = source['shape'][0]
    outputs = []
    for start in range(0, len(images), size):
        batch = np.resize(images[start : start + size], source['shape'])
        interpreter.set_tensor(source['index'], batch)
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(result['index']))
    return np.concatenate(outputs)[: len(images)]


@pytest.mark.parametrize('form', FORMS.values(), ids=FORMS)
def test_each_image_of_a_batch_gives_what_it_gives_alone_to_the_bit(network, form):
    model, images = network
    alone, batches = convert(model, **form), convert(model, batch_size=BATCH, **form)
    for reference_kernels in (False, True):
        np.testing.assert_array_equal(
            run(batches, images, reference_kernels), run(alone, images, reference_kernels)
        )
    single, several = inspect(alone), inspect(batches)
    assert several.inputs[0].shape == (BATCH, 6, 6, 2)
    assert several.outputs[0].shape == (BATCH, 4)
    assert several.integer_only
    assert several.xnnpack_partitions == single.xnnpack_partitions
    assert several.delegation.inside == single.delegation.inside
    if form != FORMS['micro']:
        assert several.xnnpack_partitions == 1
        assert not several.undelegated


def test_work_and_kernels_are_reported_for_one_image(network):
    model, _ = network
    single, several = inspect(convert(model)), inspect(convert(model, batch_size=BATCH))
    assert several.multiply_adds == single.multiply_adds
    assert several.layers == single.layers


@pytest.mark.parametrize('batch_size', [2, 16])
def test_a_file_of_batches_is_compared_level_by_level(network, batch_size):
    model, images = network
    alone = compare(model, convert(model), images)
    assert compare(model, convert(model, batch_size=batch_size), images) == alone


def test_a_file_of_batches_is_evaluated_and_timed():
    model = quantized_network('sequential')
    images = images_for(model, 11)
    alone, batches = convert(model), convert(model, batch_size=4)
    np.testing.assert_array_equal(predict(batches, images), predict(alone, images))
    np.testing.assert_array_equal(predict(batches, images[:1]), predict(alone, images[:1]))
    data = [(images, predict(alone, images).argmax(axis=-1))]
    evaluation = evaluate(batches, data, reference=model)
    assert evaluation == evaluate(alone, data, reference=model)
    assert (evaluation.examples, evaluation.accuracy) == (11, 1.0)
    assert benchmark(batches, runs=2).runs == 2


def test_several_inputs_and_outputs_of_integers_come_in_batches():
    ends = [keras.Input((5, 2), name='left'), keras.Input((5, 2), name='right')]
    x = _layers.Concatenate(name='joined')([_layers.Conv1D(4, 3)(end) for end in ends])
    model = quantize(keras.Model(ends, [_layers.Flatten(name='flat')(x), x]))
    data = tuple(
        np.random.default_rng(seed).random((8, 5, 2)).astype(np.float32) for seed in (0, 1)
    )
    tf_n2uq.calibrate(model, tf.data.Dataset.from_tensors((data,)), verbose=0)
    form = {'inference_input_type': tf.uint8, 'inference_output_type': tf.int8}
    alone, batches = convert(model, **form), convert(model, batch_size=4, **form)
    pixels = {
        name: np.random.default_rng(seed).integers(0, 256, (4, 5, 2)).astype(np.uint8)
        for name, seed in (('left', 2), ('right', 3))
    }
    outputs = make_interpreter(batches).get_signature_runner()(**pixels)
    assert {name: each.shape for name, each in outputs.items()} == {
        'flat': (4, 24),
        'joined': (4, 3, 8),
    }
    runner = make_interpreter(alone).get_signature_runner()
    for place in range(4):
        expected = runner(**{name: each[place : place + 1] for name, each in pixels.items()})
        for name, values in expected.items():
            np.testing.assert_array_equal(outputs[name][place : place + 1], values)


def test_the_command_line_writes_files_of_batches_and_works_with_them(tmp_path, capsys):
    model = quantized_network('dense_only')
    model.save(tmp_path / 'model.keras')
    np.save(tmp_path / 'images.npy', images_for(model, 5))
    file = str(tmp_path / 'model.tflite')
    arguments = ['convert', str(tmp_path / 'model.keras'), '--out', file]
    assert main([*arguments, '--batch-size', '2']) == 0
    assert main(['inspect', file]) == 0
    assert 'FLOAT32 [2, 8, 8, 3]' in capsys.readouterr().out
    assert main(['compare', str(tmp_path / 'model.keras'), file, str(tmp_path / 'images.npy')]) == 0
    assert 'compared       5 images' in capsys.readouterr().out
    assert main(['benchmark', file, '--runs', '2']) == 0
    assert main([*arguments, '--force', '--batch_size', '0']) == 1
    assert 'batch_size: expected the number of images' in capsys.readouterr().err


@pytest.mark.parametrize('batch_size', [0, -2, 1.0, '4', None, True, 10**9])
def test_what_is_no_number_of_images_is_refused(batch_size):
    with pytest.raises(ValueError, match=r'batch_size: expected .* got '):
        convert(quantized_network('dense_only'), batch_size=batch_size)


def test_a_number_of_numpy_is_taken():
    content = convert(quantized_network('dense_only'), batch_size=np.int64(2))
    assert inspect(content).inputs[0].shape == (2, 8, 8, 3)
