"""Networks with float parts: their files compute in float what Keras computes in float."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tf_n2uq.tflite.passes import flatbuffer

layers = keras.layers
rng = np.random.default_rng(0)
SERIES = rng.normal(size=(12, 6, 4)).astype(np.float32)
IMAGES = rng.normal(size=(6, 6, 6, 3)).astype(np.float32)
KERNEL = rng.normal(size=(3, 3, 8, 8)).astype(np.float32)
WORDS = rng.integers(0, 20, (12, 6)).astype(np.int32)
# `reset_after=False` is another order of operators, and an unrolled layer has no loop.
RECURRENT = {
    'lstm': lambda: layers.LSTM(5),
    'gru': lambda: layers.GRU(5),
    'gru_without_reset_after': lambda: layers.GRU(5, reset_after=False),
    'simple_rnn': lambda: layers.SimpleRNN(5),
    'unrolled_lstm': lambda: layers.LSTM(5, unroll=True),
    'bidirectional_gru': lambda: layers.Bidirectional(layers.GRU(5)),
    'cells': lambda: layers.RNN([layers.GRUCell(3), layers.LSTMCell(4)]),
}
FUNCTIONS = {
    'resize': lambda x: tf.image.resize(x, (5, 7)),
    'batch_matmul': lambda x: tf.matmul(x, x, transpose_b=True),
    'l2_normalize': lambda x: tf.math.l2_normalize(x, -1),
    'split': lambda x: tf.concat(tf.split(x, 2, -1)[::-1], -1),
    'stack': lambda x: tf.reshape(tf.stack([x, tf.sin(x)], 3), (-1, 6, 6, 16)),
    # The converter gives these fixed ranges, and the movement behind them an int8 operator.
    'softmax_moved': lambda x: tf.transpose(tf.nn.softmax(x), (0, 2, 1, 3)),
    'tanh_moved': lambda x: tf.reshape(tf.tanh(3 * x), (-1, 6, 3, 16)),
    'convolution': lambda x: tf.nn.conv2d(x, tf.constant(KERNEL), 1, 'SAME'),
}


def convolutions(x, kind=layers.Conv2D, count=2):
    for _ in range(count):
        x = layers.ReLU()(layers.BatchNormalization()(kind(8, 3, padding='same')(x)))
    return x


def quantized(model, data):
    annotated = tf_n2uq.annotate(model)
    with tfmot.quantization.keras.quantize_scope():
        result = tfmot.quantization.keras.quantize_apply(
            annotated, scheme=tf_n2uq.N2UQScheme(bits=2)
        )
    tf_n2uq.calibrate(result, data, verbose=0)
    return result


def converted(model, data, **options):
    result = quantized(model, data)
    return result, tf_n2uq.tflite.convert(result, allow_float=True, **options)


def assert_same(model, content, data):
    """Asserts that no level differs, and that outputs differ by the rounding of float32 alone."""
    report = tf_n2uq.tflite.compare(model, content, data)
    assert report.quantizers
    assert not [each.name for each in report.quantizers if each.xnnpack.differing]
    expected = tf.nest.flatten(model.predict(data, verbose=0))
    got = tf.nest.flatten(tf_n2uq.tflite.predict(content, data))
    for own, other in zip(expected, got, strict=True):
        np.testing.assert_allclose(other, own, rtol=1e-4, atol=1e-5)


def types_of(content, name):
    """Returns the types of all tensors of a layer."""
    graphs = flatbuffer.read(content).subgraphs
    tensors = [tensor for graph in graphs for tensor in graph.tensors]
    named = [each for each in tensors if flatbuffer.text(each.name).split('/')[0] == name]
    return {flatbuffer.type_name(each) for each in named}


@pytest.fixture(autouse=True)
def seeded():
    keras.utils.set_random_seed(0)


def test_recurrent_layers_behind_quantized_layers():
    series = keras.Input((6, 4))
    x = convolutions(series, layers.Conv1D)
    ends = {name: layers.Dense(3)(make()(x)) for name, make in RECURRENT.items()}
    model, content = converted(keras.Model(series, ends), SERIES)
    assert_same(model, content, SERIES)


def test_recurrent_layers_in_front_of_quantized_layers_and_as_outputs():
    series = keras.Input((6, 4))
    x, state, cell = layers.LSTM(8, return_sequences=True, return_state=True, name='memory')(series)
    x = layers.GRU(4, return_sequences=True)(layers.Reshape((3, 16))(x))
    x = layers.GlobalMaxPooling1D()(convolutions(x, layers.Conv1D))
    ends = {'label': layers.Dense(3)(x), 'state': state, 'cell': cell}
    model, content = converted(keras.Model(series, ends), SERIES)
    assert_same(model, content, SERIES)
    run = tf_n2uq.tflite.make_interpreter(content).get_signature_runner()
    assert set(run.get_input_details()) == {series.node.layer.name}
    got = run(**{series.node.layer.name: SERIES[:1]})
    np.testing.assert_allclose(
        got['state'], model.predict(SERIES[:1], verbose=0)['state'], 1e-4, 1e-5
    )


def test_functions_between_quantized_layers():
    image = keras.Input((6, 6, 3))
    x = convolutions(image)
    ends = {}
    for name, function in FUNCTIONS.items():
        read = layers.Conv2D(3, 1)(layers.Lambda(function, name=name)(x))
        ends[f'{name}_end'] = layers.Conv2D(2, 1)(read)
    model, content = converted(keras.Model(image, ends), IMAGES)
    assert_same(model, content, IMAGES)
    for name in FUNCTIONS:
        assert types_of(content, name) <= {'FLOAT32', 'INT32'}


def test_layers_over_time_and_functions_without_an_operator():
    frames = keras.Input((3, 6, 6, 3))
    x = layers.TimeDistributed(layers.Conv2D(4, 3, activation='relu'))(frames)
    x = layers.TimeDistributed(layers.GlobalAveragePooling2D())(x)
    x = layers.Dense(8, activation='relu')(layers.Dense(8, activation='relu')(layers.GRU(4)(x)))
    x = layers.Activation('softsign')(layers.Add()([x, layers.Dense(8)(x)]))
    data = rng.normal(size=(8, 3, 6, 6, 3)).astype(np.float32)
    model, content = converted(keras.Model(frames, [layers.Dense(3)(x), x]), data)
    assert_same(model, content, data)


def test_weights_of_float_layers_keep_their_type():
    series = keras.Input((6, 4))
    x = layers.LSTM(64, name='memory')(convolutions(series, layers.Conv1D))
    x = layers.Dense(3)(layers.Dense(8, activation='relu')(x))
    model, content = converted(keras.Model(series, x), SERIES, batch_size=4)
    # The converter stores weights of 1024 values and more as int8 unless it is told not to.
    assert_same(model, content, SERIES)
    assert types_of(content, 'memory') <= {'FLOAT32', 'INT32', 'BOOL'}


def words_and_sound():
    words = keras.Input((6,), dtype='int32', name='words')
    sound = keras.Input((6, 4), name='sound')
    x = layers.Concatenate()([layers.Embedding(20, 4)(words), sound])
    x = layers.GlobalAveragePooling1D()(convolutions(x, layers.Conv1D))
    return keras.Model([words, sound], layers.Dense(3, name='label')(x))


def test_words_stay_int32():
    model, content = converted(words_and_sound(), [WORDS, SERIES])
    details = tf_n2uq.tflite.make_interpreter(content).get_input_details()
    assert [each['dtype'] for each in details] == [np.int32, np.float32]
    assert_same(model, content, [WORDS, SERIES])
    labels = np.argmax(model.predict([WORDS, SERIES], verbose=0), -1)
    dataset = tf.data.Dataset.from_tensor_slices(((WORDS, SERIES), labels)).batch(5)
    result = tf_n2uq.tflite.evaluate(content, dataset, reference=model)
    assert (result.accuracy, result.agreement) == (1.0, 1.0)


@pytest.mark.parametrize('dtype', ['int8', 'uint8'])
def test_other_ends_may_be_8_bit_beside_words(dtype):
    model = quantized(words_and_sound(), [WORDS, SERIES])
    options = {'inference_input_type': dtype, 'inference_output_type': dtype}
    content = tf_n2uq.tflite.convert(model, allow_float=True, **options)
    interpreter = tf_n2uq.tflite.make_interpreter(content)
    found = [np.dtype(each['dtype']).name for each in interpreter.get_input_details()]
    assert found == ['int32', dtype]
    assert np.dtype(interpreter.get_output_details()[0]['dtype']).name == dtype
    expected = model.predict([WORDS, SERIES], verbose=0)
    got = tf_n2uq.tflite.predict(content, [WORDS, SERIES])
    np.testing.assert_allclose(got, expected, atol=1e-5)


@pytest.mark.parametrize('end', ['input', 'output'])
def test_8_bit_ends_next_to_float_layers_are_refused(end):
    series = keras.Input((6, 4), name='sound')
    memory = layers.LSTM(4, name='memory')
    if end == 'input':
        x = layers.Dense(3)(layers.Dense(8)(memory(series)))
    else:
        x = memory(convolutions(series, layers.Conv1D))
    model = quantized(keras.Model(series, x), SERIES)
    match = rf"inference_{end}_type: expected tf.float32, as layer 'memory'.*got tf.int8"
    with pytest.raises(ValueError, match=match):
        tf_n2uq.tflite.convert(model, allow_float=True, **{f'inference_{end}_type': 'int8'})


def test_functions_without_a_built_in_operator_are_refused_by_name():
    image = keras.Input((6, 6, 3))
    x = layers.Lambda(lambda x: tf.image.resize(x, (7, 7), 'bicubic'), name='larger')(
        convolutions(image)
    )
    model = quantized(keras.Model(image, layers.GlobalMaxPooling2D()(convolutions(x))), IMAGES)
    with pytest.raises(ValueError, match=r'got tf.ResizeBicubic in one of larger \(Lambda\)'):
        tf_n2uq.tflite.convert(model, allow_float=True)
