"""Every pattern of a user's network, all the way from float to a file."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import tf_n2uq
from tests.networks import NETWORKS, float_network, images_for, quantized_network

# Files of networks whose output is no XNNPACK operator have it behind the partition.
ENDS_IN_SOFTMAX = {'sequential', 'dense_only'}


@pytest.mark.parametrize('name', NETWORKS)
def test_a_network_is_quantized_trained_saved_loaded_and_exported(name, tmp_path):
    model = quantized_network(name)
    images = images_for(model, 64)
    before = _predict(model, images)
    _train_one_step(model, images)
    after = _predict(model, images)
    assert np.all(np.isfinite(after))
    assert not np.array_equal(before, after)

    for path in (tmp_path / 'model.keras', tmp_path / 'model.h5', tmp_path / 'saved_model'):
        model.save(path)
        loaded = keras.models.load_model(path)
        np.testing.assert_array_equal(_predict(loaded, images), after)
        _train_one_step(loaded, images)
        assert not np.array_equal(_predict(loaded, images), after)

    content = tf_n2uq.tflite.convert(model)
    inspection = tf_n2uq.tflite.inspect(content)
    assert inspection.integer_only
    if name not in ENDS_IN_SOFTMAX:
        assert inspection.xnnpack_partitions == 1
    steps = _steps_of_output(content, images, after)
    assert np.mean(np.abs(steps)) < 1.0


def _predict(model, images):
    return model(images, training=False).numpy()


def _train_one_step(model, images):
    # One step: compiling it into a graph would take longer than the step.
    model.compile(keras.optimizers.SGD(0.01), loss='mse', run_eagerly=True)
    target = np.random.default_rng(3).random((len(images), model.output_shape[-1]))
    model.train_on_batch(images, target)


def _steps_of_output(content, images, expected):
    """Difference between file and Keras, in steps of the output's scale."""
    interpreter = tf_n2uq.tflite.make_interpreter(content)
    interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    (result,) = interpreter.get_output_details()
    outputs = []
    for image in images:
        interpreter.set_tensor(source['index'], image[None])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(result['index'])[0].copy())
    values = np.unique(np.asarray(outputs))
    step = np.min(np.diff(values))
    return (np.asarray(outputs) - expected) / step


@pytest.mark.parametrize('bits', [2, 3, 4, 5, 8])
def test_every_bit_width_agrees_with_its_file(bits):
    model = quantized_network('residual', bits)
    images = images_for(model, 64)
    content = tf_n2uq.tflite.convert(model)
    steps = _steps_of_output(content, images, _predict(model, images))
    assert np.mean(np.abs(steps)) < 1.0


@pytest.mark.parametrize('name', ['residual', 'folding_activations'])
def test_the_plain_converter_takes_a_quantized_model_and_agrees(name):
    model = quantized_network(name)
    images = images_for(model, 32)
    content = tf.lite.TFLiteConverter.from_keras_model(model).convert()
    labels = np.zeros(len(images), np.int32)
    dataset = tf.data.Dataset.from_tensor_slices((images, labels)).batch(8)
    evaluation = tf_n2uq.tflite.evaluate(content, dataset, reference=model)
    assert evaluation.agreement == 1.0


def test_a_quantized_network_learns_what_its_float_teacher_knows():
    teacher = float_network('residual')
    student = quantized_network('residual')
    images = images_for(teacher, 256)
    labels = np.argmax(teacher.predict(images, verbose=0), axis=-1)
    trainer = tf_n2uq.training.Distillation(student, teacher)
    trainer.compile(tf_n2uq.training.N2UQAdam(tf_n2uq.training.linear_decay(2e-3, 160)))
    history = trainer.fit(images, labels, epochs=20, batch_size=32, verbose=0)
    losses = history.history['loss']
    assert np.mean(losses[-3:]) < np.mean(losses[:3])
    assert trainer.evaluate(images, labels, verbose=0)[1] > 0.9
