"""Loss and metrics of one bit-width of an adaptive network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import tensorflow as tf
import tf_keras as keras

from tf_n2uq._compat.keras_layers import rename
from tf_n2uq._compat.keras_training import LossesContainer, MetricsContainer, copied_metrics


class WidthScores:
    """Loss and metrics of one bit-width, with the bit-width in their names.

    Keras' own containers do the work: they average over replicas, apply masks, and decide which
    of its accuracies the name 'accuracy' means.

    Attributes:
        bits: The bit-width.

    Args:
        bits: The bit-width.
        loss: A Keras loss or its name.
        metrics: A Keras metric or its name, or several. Metrics are copied.
        weighted_metrics: The same, for metrics that sample weights apply to.
        output_names: The names of the network's outputs, by which labels and metrics may come.
    """

    def __init__(
        self,
        bits: int,
        loss: Any,
        metrics: Any,
        weighted_metrics: Any,
        output_names: Sequence[str] | None = None,
    ) -> None:
        self.bits = bits
        self._loss = LossesContainer(loss, output_names=output_names)
        self._metrics = MetricsContainer(
            copied_metrics(metrics), copied_metrics(weighted_metrics), output_names=output_names
        )

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The loss and, once there was a batch, the metrics; named `accuracy_4bit` and so on."""
        found = [*self._loss.metrics, *self._metrics.metrics]
        suffix = f'_{self.bits}bit'
        for metric in found:
            if not metric.name.endswith(suffix):
                rename(metric, metric.name + suffix)
        return found

    def loss(
        self, target: Any, prediction: Any, sample_weight: Any, regularization: Any = None
    ) -> tf.Tensor:
        """Returns the loss of a batch, and counts it in the mean.

        Args:
            target: The first argument of the loss, `[batch, ...]`.
            prediction: The second argument of the loss, `[batch, ..., classes]`.
            sample_weight: One weight per example, `[batch]`, or None.
            regularization: A list of scalar losses that are added, or None.

        Returns:
            The loss to be minimized, float32 `[]`.
        """
        return self._loss(target, prediction, sample_weight, regularization_losses=regularization)

    def count(self, labels: Any, prediction: Any, sample_weight: Any) -> None:
        """Updates the metrics with a batch.

        Args:
            labels: The labels, `[batch, ...]`.
            prediction: The network's outputs, `[batch, ..., classes]`.
            sample_weight: One weight per example, `[batch]`, or None.
        """
        self._metrics.update_state(labels, prediction, sample_weight)


class HasMetrics(Protocol):
    """Something with metrics, the first of which is the mean of a loss since the last reset."""

    @property
    def metrics(self) -> list[keras.metrics.Metric]: ...


class TotalLoss(keras.metrics.Metric):
    """The sum of several losses, such as those of all bit-widths.

    Args:
        parts: What counts the losses: `WidthScores`, or Keras' own containers.
    """

    def __init__(self, parts: Sequence[HasMetrics]) -> None:
        super().__init__(name='loss')
        self._parts = parts

    def update_state(self, *args: Any, **kwargs: Any) -> None:
        """Does nothing, because each loss is counted where it is computed."""

    def result(self) -> tf.Tensor:
        """Returns the sum, float32 `[]`."""
        return tf.add_n([part.metrics[0].result() for part in self._parts])
