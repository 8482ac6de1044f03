"""The losses of labels and the metrics that suit a head."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.training.losses.label_losses import (
    default_metrics,
    label_loss,
    metrics_of_labels,
)
from tf_n2uq.training.losses.teacher_losses import TeacherLoss


def head(gives='classes', logits=True):
    return TeacherLoss('label', None, gives, logits, True)


@pytest.mark.parametrize('logits', [True, False])
def test_a_cross_entropy_by_name_takes_what_the_student_gives(logits):
    values = tf.constant([[2.0, 0.0, -1.0]])
    given = values if logits else tf.nn.softmax(values)
    loss = label_loss('sparse_categorical_crossentropy', head(logits=logits))
    expected = -tf.nn.log_softmax(values)[0, 1]
    np.testing.assert_allclose(loss(tf.constant([1]), given), expected, rtol=1e-5)


def test_other_losses_stay_as_they_are():
    own = keras.losses.Huber()
    assert label_loss(own, head()) is own
    assert label_loss('mae', head()) == 'mae'
    name = 'binary_crossentropy'
    assert label_loss(name, head(logits=None)) == name


def test_each_head_has_the_metric_that_suits_it():
    classes, binary, numbers = default_metrics(
        [head(), head('binary', logits=True), head('numbers')]
    )
    assert (classes, numbers) == (['accuracy'], ['mae'])
    (metric,) = binary
    metric.update_state([[1.0, 0.0]], [[0.2, 0.1]])
    assert (metric.name, float(metric.result())) == ('accuracy', 0.5)
    ((of_probabilities,),) = default_metrics([head('binary', logits=False)])
    of_probabilities.update_state([[1.0, 0.0]], [[0.6, 0.4]])
    assert float(of_probabilities.result()) == 1.0


def _named(metrics):
    return [getattr(each, 'name', each) for each in metrics]


@pytest.mark.parametrize(
    ('loss', 'expected'),
    [
        ('sparse_categorical_crossentropy', ['accuracy']),
        (keras.losses.CategoricalCrossentropy(from_logits=True), ['accuracy']),
        (keras.losses.categorical_crossentropy, ['accuracy']),
        (keras.losses.BinaryCrossentropy(), ['accuracy']),
        ('mse', ['mae']),
        (keras.losses.Huber(), ['mae']),
        (keras.losses.mean_absolute_error, ['mae']),
        ({'end': 'mae'}, ['mae']),
        (['mse'], ['mae']),
        ({}, []),
    ],
)
def test_the_loss_of_labels_tells_the_metric(loss, expected):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(3, name='end')(inputs))
    (found,) = metrics_of_labels(model, loss)
    assert _named(found) == expected


@pytest.mark.parametrize('logits', [True, False])
def test_a_binary_loss_tells_where_the_threshold_is(logits):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Dense(1)(inputs))
    loss = keras.losses.BinaryCrossentropy(from_logits=logits)
    ((metric,),) = metrics_of_labels(model, loss)
    metric.update_state([[1.0], [0.0]], [[0.2], [-0.2]] if logits else [[0.6], [0.4]])
    assert float(metric.result()) == 1.0


@pytest.mark.parametrize(
    ('end', 'expected'),
    [
        (keras.layers.Dense(3, 'softmax'), 'accuracy'),
        (keras.layers.Dense(3, 'sigmoid'), 'accuracy'),
        (keras.layers.Dense(3), 'accuracy'),
        (keras.layers.Dense(1), 'mae'),
        (keras.layers.Dense(3, 'tanh'), 'mae'),
    ],
)
def test_a_loss_of_the_users_leaves_it_to_the_head(end, expected):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, end(inputs))
    (found,) = metrics_of_labels(model, lambda labels, outputs: tf.reduce_mean(outputs))
    assert _named(found) == [expected]
