"""Settings, labels and weights in the structure of a student's outputs."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.training.losses.outputs_of_student import (
    check_labels,
    like_outputs,
    weights_like_outputs,
)


def test_values_come_in_the_structure_of_the_outputs(dense_model):
    assert like_outputs(dense_model(1), [['accuracy']]) == ['accuracy']
    inputs = keras.Input((4,))
    one, other = keras.layers.Dense(2)(inputs), keras.layers.Dense(3)(inputs)
    assert like_outputs(keras.Model(inputs, [one, other]), [1, [2, 3]]) == [1, [2, 3]]
    assert like_outputs(keras.Model(inputs, {'b': one, 'a': other}), [1, 2]) == {'a': 1, 'b': 2}
    assert like_outputs(keras.Model(inputs, [one]), [1]) == 1


def test_weights_of_examples_weigh_every_pixel_of_an_example_alike():
    outputs = {'map': tf.zeros([2, 2, 2, 1]), 'label': tf.zeros([2, 3])}
    weight = tf.constant([1.0, 3.0])
    shapes = {'map': (2, 1, 1), 'label': (2,)}
    for given in (weight, {'map': weight, 'label': weight}):
        found = weights_like_outputs(outputs, given)
        assert {name: tuple(each.shape) for name, each in found.items()} == shapes
    in_list = weights_like_outputs(list(outputs.values()), [weight, None])
    assert tuple(in_list[0].shape) == (2, 1, 1)
    assert in_list[1] is None
    losses = tf.ones([2, 2, 2]) * found['map']
    np.testing.assert_array_equal(tf.reduce_mean(losses, [1, 2]), [1.0, 3.0])


def test_weights_that_fit_or_are_missing_stay():
    by_pixel = tf.ones([2, 2, 2])
    assert weights_like_outputs(tf.zeros([2, 2, 2, 1]), by_pixel) is by_pixel
    assert weights_like_outputs(tf.zeros([2, 3]), None) is None
    by_name = {'map': by_pixel}
    assert weights_like_outputs([tf.zeros([2, 2, 2, 1]), tf.zeros([2, 3])], by_name) is by_name


def test_labels_of_outputs_that_learn_from_them_are_needed():
    check_labels({'box': 1, 'label': 2}, ['box'])
    check_labels([1, 2], ['box'])
    with pytest.raises(ValueError, match='data: expected labels, .* got inputs alone'):
        check_labels(None, ['box'])
    with pytest.raises(ValueError, match='expected labels of box, .* got labels of label'):
        check_labels({'label': 2}, ['box'])
