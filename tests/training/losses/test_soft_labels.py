"""Soft labels: the losses, and logits from probabilities."""

import numpy as np
import pytest
import tensorflow as tf

from tf_n2uq.training.losses.soft_labels import (
    SoftBinaryCrossEntropy,
    SoftBinaryKLDivergence,
    SoftCrossEntropy,
    SoftKLDivergence,
    binary_logits_of,
    logits_of,
)


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


def sigmoid(logits):
    return 1 / (1 + np.exp(-np.asarray(logits, np.float64)))


@pytest.mark.parametrize('temperature', [1.0, 4.0])
def test_binary_loss_is_the_mean_over_units_of_the_cross_entropy_at_the_temperature(temperature):
    target, prediction = [[2.0, -1.0], [0.0, 3.0]], [[1.0, 0.5], [-2.0, 0.25]]
    loss = SoftBinaryCrossEntropy(temperature).call(tf.constant(target), tf.constant(prediction))
    p, q = (sigmoid(np.divide(each, temperature)) for each in (target, prediction))
    expected = -(temperature**2) * (p * np.log(q) + (1 - p) * np.log(1 - q)).mean(-1)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ('loss', 'squash'),
    [
        (SoftCrossEntropy, softmax),
        (SoftKLDivergence, softmax),
        (SoftBinaryCrossEntropy, sigmoid),
        (SoftBinaryKLDivergence, sigmoid),
    ],
)
def test_logits_and_probabilities_of_either_model_give_the_same_loss(loss, squash):
    target, prediction = np.array([[2.0, 0.0, -1.0]]), np.array([[1.0, 1.0, -0.5]])
    expected = loss(2.0).call(tf.constant(target), tf.constant(prediction))
    for of_teacher in (True, False):
        for of_student in (True, False):
            got = loss(2.0, of_teacher, of_student).call(
                tf.constant(target if of_teacher else squash(target), tf.float32),
                tf.constant(prediction if of_student else squash(prediction), tf.float32),
            )
            np.testing.assert_allclose(got, expected, rtol=1e-4)


@pytest.mark.parametrize('loss', [SoftKLDivergence, SoftBinaryKLDivergence])
def test_divergences_are_zero_at_the_target_and_have_the_gradient_of_the_cross_entropy(loss):
    target, prediction = tf.constant([[2.0, 0.0, -1.0]]), tf.Variable([[1.0, 1.0, 0.0]])
    np.testing.assert_allclose(loss(2.0).call(target, target), [0.0], atol=1e-6)
    gradients = []
    for each in (loss(2.0), loss.__mro__[1](2.0)):
        with tf.GradientTape() as tape:
            value = each.call(target, prediction)
        gradients.append(tape.gradient(value, prediction))
    assert float(loss(2.0).call(target, prediction)[0]) > 0.1
    np.testing.assert_allclose(gradients[0], gradients[1], rtol=1e-6)


@pytest.mark.parametrize('dtype', [tf.float16, tf.float32])
def test_binary_logits_give_probabilities_back_and_are_finite_at_both_ends(dtype):
    probabilities = tf.constant([[0.25, 1.0, 0.0]], dtype)
    logits = binary_logits_of(probabilities, are_logits=False)
    assert np.all(np.isfinite(logits))
    np.testing.assert_allclose(tf.sigmoid(logits), probabilities, atol=1e-6)


@pytest.mark.parametrize('loss', [SoftCrossEntropy, SoftKLDivergence])
def test_a_cross_entropy_over_one_class_is_refused(loss):
    with pytest.raises(ValueError, match='at least two classes, .*one class is always zero'):
        loss(1.0).call(tf.zeros([4, 1]), tf.ones([4, 1]))
