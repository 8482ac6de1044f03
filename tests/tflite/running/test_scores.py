"""The accuracy of classes, and metrics of Keras."""

import numpy as np
import pytest
import tf_keras as keras

from tf_n2uq.tflite.running.scores import ClassScores, MetricScores

OUTPUTS = np.array([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]], np.float32)


def test_accuracy_is_that_of_all_batches():
    scores = ClassScores()
    scores.add(np.array([1, 0]), OUTPUTS[:2], None)
    scores.add(np.array([[0.0, 1.0], [0.0, 1.0]]), OUTPUTS[2:], None)
    assert scores.accuracy == 0.75
    np.testing.assert_array_equal(np.concatenate(scores.classes), [1, 0, 1, 0])


def test_metrics_are_averaged_over_examples_and_not_over_batches():
    metric = keras.metrics.MeanAbsoluteError('off')
    scores = MetricScores([metric, 'accuracy'], None, ['label'])
    scores.add(np.float32([[1, 0]]), OUTPUTS[:1], None)
    scores.add(np.float32([[1, 0], [0, 1], [1, 0]]), OUTPUTS[1:], None)
    off = np.abs(OUTPUTS - [[1, 0], [1, 0], [0, 1], [1, 0]]).mean()
    assert scores.results() == pytest.approx({'off': off, 'accuracy': 0.75}, rel=1e-6)
    assert float(metric.result()) == 0.0


def test_a_metric_may_have_several_values():
    class Columns(keras.metrics.Metric):
        def __init__(self, name='columns', **kwargs):
            super().__init__(name=name, **kwargs)
            self.total = self.add_weight('total', [2], initializer='zeros')

        def update_state(self, y_true, y_pred, sample_weight=None):
            self.total.assign_add(keras.backend.sum(y_pred, axis=0))

        def result(self):
            return self.total

    scores = MetricScores([Columns()], None, ['label'])
    scores.add(OUTPUTS, OUTPUTS, None)
    np.testing.assert_allclose(scores.results()['columns'], OUTPUTS.sum(0), rtol=1e-6)


def test_missing_labels_are_refused():
    with pytest.raises(ValueError, match='labels of label, .* got no labels'):
        MetricScores(['mae'], None, ['label']).add(None, OUTPUTS, None)


def test_labels_may_come_by_the_name_of_the_only_output():
    scores = ClassScores(['label'])
    outputs = np.float32([[0.9, 0.1], [0.2, 0.8]])
    scores.add({'label': np.array([0, 0])}, outputs, None)
    assert scores.accuracy == 0.5
    with pytest.raises(ValueError, match='expected labels of label, .* got kind'):
        scores.add({'kind': np.array([0, 0])}, outputs, None)
