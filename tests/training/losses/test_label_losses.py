"""The losses of labels and the metrics that suit a head."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.training.losses.label_losses import default_metrics, label_loss
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
