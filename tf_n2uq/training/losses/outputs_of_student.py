"""Settings, labels and weights in the structure of a student's outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq._compat.keras_models import is_functional, nested_outputs


def like_outputs(model: keras.Model, values: Sequence[Any]) -> Any:
    """Returns values in the structure in which a model returns its outputs.

    Args:
        model: A built model. A subclassed model has one output.
        values: A value for each output, in the order of `model.outputs`. A value may be a list.
    """
    nest = nested_outputs(model) if is_functional(model) else None
    if not tf.nest.is_nested(nest):
        (value,) = values
        return value
    return tf.nest.pack_sequence_as(nest, list(values))


def weights_like_outputs(outputs: Any, sample_weight: Any) -> Any:
    """Returns sample weights that weigh every value of an example alike.

    Keras multiplies losses `[batch, height, width]` of maps by weights `[batch]` along the last
    axis, which weighs columns in place of examples.

    Args:
        outputs: A nest of outputs, `[batch, ...]`.
        sample_weight: One weight per example, `[batch]`; a nest of weights like `outputs` or by
            the names of outputs; or None.

    Returns:
        The weights. Those that are `[batch]` have the rank of the losses of their outputs.
    """
    if sample_weight is None:
        return None
    if not tf.nest.is_nested(sample_weight):
        return tf.nest.map_structure(lambda each: _of_examples(each, sample_weight), outputs)
    if isinstance(sample_weight, Mapping) and not isinstance(outputs, Mapping):
        return sample_weight
    given = dict(sample_weight) if isinstance(sample_weight, Mapping) else list(sample_weight)
    if isinstance(given, dict):
        return {key: _of_examples(outputs[key], weight) for key, weight in given.items()}
    return [
        None if weight is None else _of_examples(each, weight)
        for each, weight in zip(outputs, given, strict=True)
    ]


def _of_examples(output: tf.Tensor, weight: Any) -> tf.Tensor:
    weight = tf.convert_to_tensor(weight)
    missing = output.shape.rank - 1 - weight.shape.rank if weight.shape.rank == 1 else 0
    return tf.reshape(weight, [-1, *[1] * missing]) if missing > 0 else weight


def check_labels(labels: Any, names: Sequence[str]) -> None:
    """Checks that there are labels for the outputs that learn from them.

    Args:
        labels: The labels of a batch, in any structure that Keras takes; or None.
        names: The names of the outputs that have a `labels_loss`.

    Raises:
        ValueError: Labels are missing.
    """
    if labels is None:
        raise ValueError(
            'data: expected labels, because there is a labels_loss, got inputs alone. Give '
            '(inputs, labels).'
        )
    missing = [name for name in names if isinstance(labels, Mapping) and name not in labels]
    if missing:
        raise ValueError(
            f'data: expected labels of {", ".join(names)}, because labels_loss has a loss of them, '
            f'got labels of {", ".join(map(str, labels))}. Give the labels of all of them.'
        )
