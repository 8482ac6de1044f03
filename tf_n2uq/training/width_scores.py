"""Loss and metrics of one bit-width of an adaptive network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq._compat.keras_layers import rename
from tf_n2uq._compat.keras_training import LossesContainer, MetricsContainer


class WidthScores:
    """What `tf_keras.Model.compile` makes of a loss and metrics, with a bit-width in their names.

    Keras' own containers: they average over replicas, mask, and find out which accuracy
    'accuracy' is.

    Attributes:
        bits: The bit-width.

    Args:
        bits: The bit-width.
        loss: A Keras loss or its name.
        metrics: A Keras metric or its name, or several; metrics are copied.
        weighted_metrics: Likewise, for those that sample weights apply to.
    """

    def __init__(
        self,
        bits: int,
        loss: Any,
        metrics: Any,
        weighted_metrics: Any,
    ) -> None:
        self.bits = bits
        self._loss = LossesContainer(loss)
        self._metrics = MetricsContainer(_copied(metrics), _copied(weighted_metrics))

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The loss, and the metrics once they have seen a batch; `accuracy_4bit` and the like."""
        found = [*self._loss.metrics, *self._metrics.metrics]
        suffix = f'_{self.bits}bit'
        for metric in found:
            if not metric.name.endswith(suffix):
                rename(metric, metric.name + suffix)
        return found

    @property
    def mean_loss(self) -> tf.Tensor:
        """Of all batches since the last reset."""
        return self._loss.metrics[0].result()

    def loss(
        self, target: Any, prediction: Any, sample_weight: Any, regularization: Any = None
    ) -> tf.Tensor:
        """Returns what is to be minimized, and counts it.

        Args:
            target: What the loss takes.
            prediction: What the loss takes.
            sample_weight: Per example, or None.
            regularization: Losses that are added; None for none.
        """
        return self._loss(target, prediction, sample_weight, regularization_losses=regularization)

    def count(self, labels: Any, prediction: Any, sample_weight: Any) -> None:
        """Updates the metrics."""
        self._metrics.update_state(labels, prediction, sample_weight)


class TotalLoss(keras.metrics.Metric):
    """The sum of the losses of all bit-widths.

    Args:
        scores: Of each bit-width.
    """

    def __init__(self, scores: Sequence[WidthScores]) -> None:
        super().__init__(name='loss')
        self._scores = scores

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Does nothing: the losses are counted where they are computed."""

    def result(self) -> tf.Tensor:
        """Returns the sum, float32 []."""
        return tf.add_n([scores.mean_loss for scores in self._scores])


def _copied(metrics: Any) -> list[Any]:
    return [
        type(metric).from_config(metric.get_config())
        if isinstance(metric, keras.metrics.Metric)
        else metric
        for metric in tf.nest.flatten(metrics)
    ]
