"""Soft labels: the loss, logits from probabilities, and how the end of a model is found."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.layers import Quantize
from tf_n2uq.quantizers import RangeQuantizer
from tf_n2uq.training.soft_labels import SoftCrossEntropy, gives_logits, logits_of


def softmax(logits):
    exponentials = np.exp(logits)
    return exponentials / exponentials.sum(-1, keepdims=True)


@pytest.mark.parametrize('temperature', [0.5, 1.0, 4.0])
def test_loss_of_each_example_is_the_cross_entropy_at_the_temperature(temperature):
    target = np.array([[[2.0, 0.0, -1.0]], [[0.0, 0.0, 3.0]]])
    prediction = np.array([[[1.0, 1.0, 0.0]], [[-2.0, 0.5, 0.25]]])
    loss = SoftCrossEntropy(temperature)
    found = loss.call(tf.constant(target, tf.float32), tf.constant(prediction, tf.float32))
    log_probabilities = np.log(softmax(prediction / temperature))
    expected = -(temperature**2) * np.sum(softmax(target / temperature) * log_probabilities, -1)
    assert found.shape == (2, 1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_loss_is_least_where_the_prediction_is_the_target():
    target = tf.constant([[2.0, 0.0, -1.0]])
    loss = SoftCrossEntropy(2.0)
    for shift in ([0.5, 0, 0], [0, -0.5, 0], [0, 0, 1.0]):
        assert loss.call(target, target + shift) > loss.call(target, target)
    np.testing.assert_allclose(
        loss.call(target, target + 3.0), loss.call(target, target), rtol=1e-5
    )


@pytest.mark.parametrize('dtype', [tf.float16, tf.float32])
def test_logits_of_probabilities_give_them_back_and_are_finite_at_zero(dtype):
    probabilities = tf.constant([[0.25, 0.75, 0.0]], dtype)
    logits = logits_of(probabilities, are_logits=False)
    assert logits.dtype == tf.float32
    assert np.all(np.isfinite(logits))
    np.testing.assert_allclose(tf.nn.softmax(logits), probabilities, atol=1e-6)


def test_logits_stay_as_they_are_in_float32():
    logits = logits_of(tf.constant([[-3.0, 4.0]], tf.float16), are_logits=True)
    assert logits.dtype == tf.float32
    np.testing.assert_array_equal(logits, [[-3.0, 4.0]])


def ends_in(*layers):
    return keras.Sequential([keras.layers.Input((4,)), keras.layers.Dense(3), *layers])


@pytest.mark.parametrize(
    ('layers', 'expected'),
    [
        ([], True),
        ([keras.layers.ReLU()], True),
        ([keras.layers.Activation('log_softmax')], True),
        ([keras.layers.Softmax()], False),
        ([keras.layers.Activation('softmax')], False),
        ([keras.layers.Softmax(), keras.layers.Reshape((3,))], False),
        ([keras.layers.Softmax(), Quantize(RangeQuantizer(8))], False),
        ([keras.layers.Softmax(), keras.layers.Activation('linear')], False),
        ([keras.Sequential([keras.layers.Dense(3, 'softmax', input_shape=(3,))])], False),
    ],
)
def test_the_layer_that_computes_the_output_decides(layers, expected):
    assert gives_logits(ends_in(*layers), None, 'student') is expected


@pytest.mark.parametrize('from_logits', [True, False])
def test_the_users_word_counts(from_logits):
    assert gives_logits(ends_in(keras.layers.Softmax()), from_logits, 'student') is from_logits


def test_a_sigmoid_is_neither_logits_nor_probabilities():
    model = ends_in(keras.layers.Activation('sigmoid'))
    with pytest.raises(ValueError, match='teacher: expected .* logits or in a softmax, .*sigmoid'):
        gives_logits(model, None, 'teacher')
    assert gives_logits(model, True, 'teacher')


def test_a_model_without_a_graph_needs_the_users_word():
    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    model = Subclassed()
    model(np.zeros((1, 3), np.float32))
    with pytest.raises(ValueError, match=r'from_logits: expected True or False .*\(student\)'):
        gives_logits(model, None, 'student')
