"""How good a TFLite file is, and how close to the Keras model behind it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras
import tqdm

from tf_n2uq.graph.float32_twin import float32_twin
from tf_n2uq.graph.one_device import on_one_device
from tf_n2uq.tflite.running.datasets import batches_of
from tf_n2uq.tflite.running.prediction import FileRunner
from tf_n2uq.tflite.running.scores import ClassScores, MetricScores


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """The result of `evaluate`.

    Attributes that begin with `reference` and those of a comparison are None if `evaluate` got no
    reference. Accuracies and agreement are None if `evaluate` got metrics.

    Attributes:
        examples: The number of examples.
        accuracy: The share of the examples that the file classifies as labelled, 0..1.
        reference_accuracy: The share of the examples that the reference classifies as labelled.
        agreement: The share of the examples that the file and the reference classify alike.
        mean_difference: The mean absolute difference between the outputs of both. It is a
            dictionary by the names of the outputs if there are several.
        max_difference: The largest absolute difference between the outputs of both, likewise.
        metrics: The metrics of the file by their names; None if `evaluate` got none. Those of one
            output of several have the name of the output in front, as in Keras.
        reference_metrics: The metrics of the reference by their names.
    """

    examples: int
    accuracy: float | None = None
    reference_accuracy: float | None = None
    agreement: float | None = None
    mean_difference: float | dict[str, float] | None = None
    max_difference: float | dict[str, float] | None = None
    metrics: dict[str, Any] | None = None
    reference_metrics: dict[str, Any] | None = None


def evaluate(
    content: bytes,
    dataset: Any,
    reference: Any = None,
    num_threads: int = 2,
    verbose: bool = False,
    *,
    metrics: Any = None,
    weighted_metrics: Any = None,
) -> Evaluation:
    """Judges a TFLite file by labelled examples.

    Without metrics, the file is a classifier, and the result is its accuracy. With metrics, it may
    be any file:

        evaluate(content, (images, labels))                          # a classifier
        evaluate(content, (images, masks), metrics=[keras.metrics.BinaryIoU([1])])
        evaluate(content, dataset, metrics={'class': 'accuracy', 'box': 'mae'})

    Args:
        content: The bytes of the file.
        dataset: A `tf.data.Dataset` or any other iterable of batches (inputs, labels) or (inputs,
            labels, sample_weight); or a tuple of whole arrays like these. Several inputs, labels
            and weights come as lists in the order of the model or as dictionaries by name. Without
            metrics, labels are integers [batch] or [batch, 1], or one-hot [batch, classes], also in
            a dictionary by the name of the output.
        reference: A Keras model that is judged like the file, and whose outputs are compared with
            those of the file; or None. Where its layers compute in half precision, as under
            `tf_keras.mixed_precision`, the same weights are judged in float32. A warning says so.
        num_threads: The number of threads that compute.
        verbose: Whether to show a progress bar.
        metrics: Metrics of Keras, as for `tf_keras.Model.compile`: names, functions or objects, and
            lists or dictionaries of these for several outputs. The name 'accuracy' is that of
            classes, one-hot labels or probabilities, as labels and outputs have it. Metrics are
            copied, and those given stay as they are.
        weighted_metrics: Metrics that the sample weights apply to. The others do not use them.

    Returns:
        The accuracy or the metrics of the file. With a reference, also those of the reference, and
        the differences between the outputs of both.

    Raises:
        TypeError: If `content` is not bytes, or labels of a classifier are not integers.
        ValueError: If `content` is not a TFLite file, or without metrics no classifier of at least
            two classes; if `dataset` is empty, never ends, or does not fit the file; if metrics
            name other outputs, or their labels are missing; or if the outputs of the reference
            have another shape.
    """
    runner = FileRunner(content, num_threads)
    if isinstance(reference, keras.Model):
        reference = float32_twin(on_one_device(reference), 'reference')

    def new_scores() -> ClassScores | MetricScores:
        if metrics is None and weighted_metrics is None:
            return ClassScores(runner.output_names)
        return MetricScores(metrics, weighted_metrics, runner.output_names)

    scores, of_reference = new_scores(), new_scores()
    differences = _Differences(runner.output_names)
    examples = 0
    bar = tqdm.tqdm(batches_of(dataset), desc='TFLite', unit='batch', disable=not verbose)
    for x, labels, weights in bar:
        if not all(len(each) for each in tf.nest.flatten(x)):
            continue
        inputs = runner.in_order(x)
        outputs = runner(inputs)
        examples += len(inputs[0])
        scores.add(labels, runner.nested(outputs), weights)
        if reference is not None:
            expected = _reference_outputs(reference, x, outputs)
            of_reference.add(labels, runner.nested(expected), weights)
            differences.add(outputs, expected)
    if not examples:
        raise ValueError(
            'dataset: expected at least one batch of inputs and labels, got none. A generator is '
            'empty after its first use: make a new one.'
        )
    found = Evaluation(examples, **_values(scores, ''))
    if reference is None:
        return found
    return dataclasses.replace(
        found,
        **_values(of_reference, 'reference_'),
        agreement=_agreement(scores, of_reference),
        mean_difference=differences.mean(),
        max_difference=differences.largest(),
    )


def _values(scores: ClassScores | MetricScores, prefix: str) -> dict[str, Any]:
    if isinstance(scores, ClassScores):
        return {f'{prefix}accuracy': scores.accuracy}
    return {f'{prefix}metrics': scores.results()}


def _agreement(one: Any, other: Any) -> float | None:
    if not isinstance(one, ClassScores):
        return None
    return float((np.concatenate(one.classes) == np.concatenate(other.classes)).mean())


def _reference_outputs(reference: Any, x: Any, outputs: list[np.ndarray]) -> list[np.ndarray]:
    """Returns the outputs of a Keras model, in the order of the file."""
    expected = [
        np.asarray(each, np.float32) for each in tf.nest.flatten(reference.predict_on_batch(x))
    ]
    shapes = [[each.shape for each in nest] for nest in (outputs, expected)]
    if shapes[0] != shapes[1]:
        listed = [', '.join(map(str, each)) for each in shapes]
        raise ValueError(
            f"reference: expected a model with outputs of the file's shape {listed[0]}, got "
            f'{listed[1]}. Give the model that the file was made of.'
        )
    return expected


class _Differences:
    """The differences between the outputs of two models."""

    def __init__(self, names: list[str]) -> None:
        self._names = names
        self._sums, self._largest = [0.0] * len(names), [0.0] * len(names)
        self._values = [0] * len(names)

    def add(self, outputs: list[np.ndarray], expected: list[np.ndarray]) -> None:
        for number, (one, other) in enumerate(zip(outputs, expected, strict=True)):
            difference = np.abs(one - other)
            self._sums[number] += float(difference.sum(dtype=np.float64))
            self._largest[number] = max(self._largest[number], float(difference.max()))
            self._values[number] += difference.size

    def mean(self) -> float | dict[str, float]:
        pairs = zip(self._sums, self._values, strict=True)
        return self._by_name([total / count for total, count in pairs])

    def largest(self) -> float | dict[str, float]:
        return self._by_name(self._largest)

    def _by_name(self, values: list[float]) -> float | dict[str, float]:
        return values[0] if len(values) == 1 else dict(zip(self._names, values, strict=True))
