"""The warning of training loops that forget `training=True`, and all that is no such loop."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import tf_n2uq
from tests.networks import images_for, quantized_network
from tf_n2uq.layers.training_watch import TrainingWatch

# One has batch normalizations, one has none.
NAMES = ['batch_normalized', 'dense_only', 'sequential']


@pytest.fixture(autouse=True)
def _nothing_told(monkeypatch):
    monkeypatch.setattr(TrainingWatch, 'told', False)


@pytest.fixture(params=NAMES)
def model(request):
    return quantized_network(request.param)


def step_of(model, **arguments):
    """A step of a custom loop, as in Keras' guide."""
    optimizer = keras.optimizers.SGD(0.01)

    def step(images):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(model(images, **arguments)))
        variables = model.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    return step


def gradients_of_inputs(model, images):
    """A saliency map: gradients, but no training."""
    images = tf.constant(images)
    with tf.GradientTape() as tape:
        tape.watch(images)
        best = tf.reduce_max(model(images), axis=-1)
    return tape.gradient(best, images)


def warned(caplog):
    return ['training=True' in record.message for record in caplog.records].count(True)


@pytest.mark.parametrize('arguments', [{}, {'training': False}])
def test_a_loop_that_forgets_training_is_warned_of_once(model, caplog, arguments):
    step, images = step_of(model, **arguments), images_for(model, 8)
    with caplog.at_level('WARNING', logger='absl'):
        step(images)
        assert not warned(caplog)
        for _ in range(3):
            step(images)
    assert warned(caplog) == 1


def test_a_compiled_loop_is_noticed_when_the_model_predicts(model, caplog):
    step, images = tf.function(step_of(model)), images_for(model, 8)
    with caplog.at_level('WARNING', logger='absl'):
        for _ in range(3):
            step(images)
        model.predict(images, verbose=0)
    assert warned(caplog) == 1


def test_right_loops_and_what_is_no_loop_are_not_warned_of(model, caplog, tmp_path):
    images = images_for(model, 8)
    labels = np.zeros((8, 4), np.float32)
    model.save_weights(tmp_path / 'old.weights.h5')
    with caplog.at_level('WARNING', logger='absl'):
        gradients_of_inputs(model, images)
        gradients_of_inputs(model, images)
        model.predict(images, verbose=0)
        right = step_of(model, training=True)
        right(images)
        gradients_of_inputs(model, images)
        right(images)
        gradients_of_inputs(model, images)
        model.compile('sgd', 'mse')
        model.fit(images, labels, verbose=0)
        gradients_of_inputs(model, images)
        model.evaluate(images, labels, verbose=0)
        tf_n2uq.tflite.convert(model)
    assert not warned(caplog)


def test_weights_that_are_loaded_between_maps_are_no_training(model, caplog, tmp_path):
    images, other = images_for(model, 8), keras.models.clone_model(model)
    other.set_weights(model.get_weights())
    step = step_of(other, training=True)
    for _ in range(3):
        step(images)
    with caplog.at_level('WARNING', logger='absl'):
        for _ in range(3):
            gradients_of_inputs(model, images)
            before = model.get_weights()
            model.set_weights(other.get_weights())
            gradients_of_inputs(model, images)
            model.set_weights(before)
    assert not warned(caplog)


def test_frozen_layers_follow_no_data_and_are_not_watched(caplog):
    model = quantized_network('batch_normalized')
    for layer in model.layers:
        if isinstance(layer, (keras.layers.BatchNormalization, tf_n2uq.layers.Quantize)):
            layer.trainable = False
    step, images = step_of(model), images_for(model, 8)
    with caplog.at_level('WARNING', logger='absl'):
        for _ in range(3):
            step(images)
    assert not warned(caplog)
