"""What outputs are worth: accuracy of classes, or any metrics of Keras."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tf_n2uq._compat.keras_training import MetricsContainer, copied_metrics

_SAY_METRICS = "Pass metrics=…, such as metrics=['mae'], for other files and labels"


class MetricScores:
    """Metrics of Keras over all batches, computed as `tf_keras.Model.evaluate` computes them.

    Args:
        metrics: Metrics, as for `tf_keras.Model.compile`. They are copied.
        weighted_metrics: Metrics that sample weights apply to, likewise.
        names: The names of the outputs.

    Raises:
        ValueError: If a dictionary names no output.
    """

    def __init__(self, metrics: Any, weighted_metrics: Any, names: Sequence[str]) -> None:
        self._names = list(names)
        self._judged: set[str] = set()
        for given, argument in ((metrics, 'metrics'), (weighted_metrics, 'weighted_metrics')):
            self._check_names(given, argument)
        self._container = MetricsContainer(
            copied_metrics(metrics), copied_metrics(weighted_metrics), output_names=self._names
        )

    def _check_names(self, metrics: Any, argument: str) -> None:
        if not isinstance(metrics, Mapping):
            self._judged |= set(self._names) if metrics else set()
            return
        unknown = [str(name) for name in metrics if name not in self._names]
        if unknown:
            raise ValueError(
                f'{argument}: expected names of outputs, {", ".join(self._names)}, got '
                f'{", ".join(unknown)}. Correct the names.'
            )
        self._judged |= {name for name, each in metrics.items() if each}

    def add(self, labels: Any, outputs: Any, sample_weight: Any) -> None:
        """Counts a batch.

        Args:
            labels: The labels, as for `tf_keras.Model.fit`.
            outputs: The outputs, in the structure in which the model returns them.
            sample_weight: The sample weights, as for `tf_keras.Model.fit`; None for none.

        Raises:
            ValueError: If labels of an output with metrics are missing.
        """
        missing = isinstance(labels, Mapping) and sorted(self._judged - set(labels))
        if labels is None or missing:
            raise ValueError(
                f'dataset: expected batches (inputs, labels) with labels of '
                f'{", ".join(sorted(self._judged))}, which have metrics, got '
                f'{"no labels" if labels is None else "labels of " + ", ".join(labels)}. Give '
                'labels, or metrics by the names of outputs.'
            )
        tensors = [
            None if each is None else tf.nest.map_structure(tf.convert_to_tensor, each)
            for each in (labels, outputs, sample_weight)
        ]
        self._container.update_state(*tensors)

    def results(self) -> dict[str, Any]:
        """Returns the value of each metric by its name, a float, or an array for several values."""
        return {metric.name: _value(metric.result()) for metric in self._container.metrics}


def _value(result: Any) -> Any:
    if isinstance(result, Mapping):
        return {name: _value(each) for name, each in result.items()}
    array = np.asarray(result)
    return float(array) if array.ndim == 0 else array


class ClassScores:
    """The accuracy of a classifier over all batches.

    Attributes:
        classes: The predicted classes of each batch, integers [batch].
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        """Creates the score of a classifier.

        Args:
            names: The names of its outputs, by which labels may come.
        """
        self._names = list(names)
        self.classes: list[np.ndarray] = []
        self._correct = 0

    def add(self, labels: Any, outputs: Any, sample_weight: Any) -> None:
        """Counts a batch.

        Args:
            labels: Integer labels [batch] or [batch, 1], or one-hot labels [batch, classes]; or
                these in a dictionary by the name of the only output.
            outputs: The outputs of the classifier, [batch, classes].
            sample_weight: None.

        Raises:
            TypeError: If labels are neither integers nor one-hot.
            ValueError: If the outputs are not those of a classifier, labels do not fit them, or
                there are sample weights.
        """
        scores = _class_scores(outputs)
        if labels is None or sample_weight is not None:
            got = 'inputs alone' if labels is None else 'sample weights beside them'
            raise ValueError(
                f'dataset: expected batches of pairs (inputs, labels), got {got}. Give labels, and '
                'weighted_metrics=… for sample weights.'
            )
        if isinstance(labels, Mapping):
            labels = self._of_only_output(labels)
        classes = scores.argmax(axis=-1)
        self._correct += int((classes == _class_numbers(np.asarray(labels), scores)).sum())
        self.classes.append(classes)

    def _of_only_output(self, labels: Mapping[str, Any]) -> Any:
        if list(labels) != self._names:
            raise ValueError(
                f'dataset: expected labels of {", ".join(self._names)}, the output of the '
                f'classifier, got {", ".join(map(str, labels))}. Give the labels of this output.'
            )
        return labels[self._names[0]]

    @property
    def accuracy(self) -> float:
        """The share of the examples that are classified as labelled, 0..1."""
        return self._correct / sum(map(len, self.classes))


def _class_numbers(labels: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Returns the class of each label, integers [batch]."""
    is_one_hot = labels.shape == scores.shape and bool(
        np.all((labels == 0) | (labels == 1)) and np.all(labels.sum(axis=-1) == 1)
    )
    if is_one_hot:
        return labels.argmax(axis=-1)
    if not np.issubdtype(labels.dtype, np.integer):
        raise TypeError(
            f'dataset: expected integer or one-hot labels, got dtype {labels.dtype} and the shape '
            f'{labels.shape}. {_SAY_METRICS}.'
        )
    if labels.shape not in ((len(scores),), (len(scores), 1)):
        raise ValueError(
            'dataset: expected batches of inputs [batch, …] with one integer label each, [batch] '
            f'or [batch, 1], or one-hot labels {scores.shape}, got labels of the shape '
            f'{labels.shape}. {_SAY_METRICS}.'
        )
    return labels.reshape(-1)


def _class_scores(outputs: Any) -> np.ndarray:
    """Returns the only output of a classifier."""
    flat = tf.nest.flatten(outputs)
    if len(flat) != 1 or flat[0].ndim != 2 or flat[0].shape[1] < 2:
        shapes = ', '.join(str(each.shape) for each in flat)
        raise ValueError(
            'content: expected the file of a classifier, whose output is [batch, classes] of at '
            f'least two classes, got outputs of the shape {shapes}. {_SAY_METRICS}.'
        )
    return flat[0]
