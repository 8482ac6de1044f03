"""Batches of inputs, labels and sample weights, from whatever Keras' `evaluate` takes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

# As many examples as in a batch of Keras, if the data come as whole arrays.
_EXAMPLES = 32


def is_dataset(data: Any) -> bool:
    """Tells whether something gives batches, and is no array, list or dictionary of arrays."""
    return isinstance(data, (tf.data.Dataset, keras.utils.Sequence, Iterator))


def batches_of(dataset: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Yields inputs, labels and sample weights, batch by batch.

    Args:
        dataset: A `tf.data.Dataset`, a `tf_keras.utils.Sequence` or any other iterable of batches,
            each of which is `(inputs, labels)`, `(inputs, labels, sample_weight)` or inputs alone.
            Or a tuple of whole arrays, `(inputs, labels)` or `(inputs, labels, sample_weight)`,
            with lists and dictionaries for several inputs and outputs.

    Yields:
        Inputs, labels and sample weights as NumPy arrays, in the nest in which they come. Labels
        and sample weights are None if there are none.

    Raises:
        ValueError: If the dataset never ends.
    """
    for batch in _batches(dataset):
        x, y, weight = keras.utils.unpack_x_y_sample_weight(batch)
        yield _arrays(x), _arrays(y), _arrays(weight)


def _batches(dataset: Any) -> Iterator[Any]:
    if (
        isinstance(dataset, tf.data.Dataset)
        and dataset.cardinality() == tf.data.INFINITE_CARDINALITY
    ):
        raise ValueError(
            'dataset: expected a dataset that ends, got one that repeats for ever. Take a number '
            'of batches of it with dataset.take(…).'
        )
    if isinstance(dataset, keras.utils.Sequence):
        # Those of ImageDataGenerator never end if they are iterated over.
        yield from (dataset[number] for number in range(len(dataset)))
    elif _holds_arrays(dataset):
        count = len(tf.nest.flatten(dataset[0])[0])
        for start in range(0, count, _EXAMPLES):
            yield tf.nest.map_structure(
                lambda each, first=start: np.asarray(each)[first : first + _EXAMPLES], dataset
            )
    else:
        for batch in dataset:
            yield tuple(batch) if isinstance(batch, list) and len(batch) in (2, 3) else batch


def _holds_arrays(dataset: Any) -> bool:
    """Tells a tuple (inputs, labels) of whole arrays from a tuple of batches."""
    if not isinstance(dataset, tuple) or len(dataset) not in (2, 3):
        return False
    return not any(isinstance(each, tuple) for each in dataset)


def _arrays(nest: Any) -> Any:
    return None if nest is None else tf.nest.map_structure(np.asarray, nest)
