"""Loss and metrics of one bit-width, under names that say so."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.training.width_scores import TotalLoss, WidthScores

LABELS = tf.constant([0, 1, 1, 2])
LOGITS = tf.constant([[2.0, 0, 0], [0, 1.0, 0], [3.0, 0, 0], [0, 0, 0.5]])


def cross_entropy():
    return keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def results(scores):
    return {metric.name: float(metric.result()) for metric in scores.metrics}


def test_names_end_in_the_bit_width_and_values_are_keras_own():
    scores = WidthScores(4, cross_entropy(), ['accuracy'], [])
    loss = scores.loss(LABELS, LOGITS, None)
    scores.count(LABELS, LOGITS, None)
    expected = float(cross_entropy()(LABELS, LOGITS))
    assert float(loss) == pytest.approx(expected)
    assert results(scores) == pytest.approx({'loss_4bit': expected, 'accuracy_4bit': 0.75})
    assert [metric.name for metric in scores.metrics] == ['loss_4bit', 'accuracy_4bit']


def test_the_mean_loss_is_that_of_all_batches():
    scores = WidthScores(2, cross_entropy(), (), ())
    losses = [float(scores.loss(LABELS, LOGITS * factor, None)) for factor in (1.0, 3.0)]
    assert losses[0] != losses[1]
    assert float(scores.metrics[0].result()) == pytest.approx(np.mean(losses))


def test_sample_weights_weigh_the_loss_and_the_weighted_metrics_alone():
    scores = WidthScores(3, cross_entropy(), 'accuracy', ['accuracy'])
    weights = tf.constant([1.0, 1.0, 0.0, 0.0])
    loss = scores.loss(LABELS, LOGITS, weights)
    scores.count(LABELS, LOGITS, weights)
    assert float(loss) == pytest.approx(float(cross_entropy()(LABELS, LOGITS, weights)))
    values = [float(metric.result()) for metric in scores.metrics[1:]]
    assert values == [0.75, 1.0]


def test_regularization_is_added():
    scores = WidthScores(3, cross_entropy(), (), ())
    plain = float(scores.loss(LABELS, LOGITS, None))
    added = scores.loss(LABELS, LOGITS, None, [tf.constant(0.25), tf.constant(0.5)])
    assert float(added) == pytest.approx(plain + 0.75)


def test_a_users_metric_is_copied_for_each_bit_width():
    top_2 = keras.metrics.SparseTopKCategoricalAccuracy(2, name='top_2')
    first, second = (WidthScores(bits, cross_entropy(), [top_2], ()) for bits in (4, 2))
    for scores in (first, second):
        scores.loss(LABELS, LOGITS, None)
        scores.count(LABELS, LOGITS, None)
    assert first.metrics[1] is not second.metrics[1]
    assert [first.metrics[1].name, second.metrics[1].name] == ['top_2_4bit', 'top_2_2bit']
    assert top_2.name == 'top_2'
    assert float(top_2.result()) == 0.0


def test_the_total_is_the_sum_over_the_bit_widths():
    scores = [WidthScores(bits, cross_entropy(), (), ()) for bits in (4, 2)]
    total = TotalLoss(scores)
    losses = [float(each.loss(LABELS, LOGITS * bits, None)) for bits, each in enumerate(scores)]
    assert total.name == 'loss'
    assert float(total.result()) == pytest.approx(sum(losses))
