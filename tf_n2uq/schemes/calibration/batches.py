"""The batches of a dataset, as the inputs of a network."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras
from absl import logging

from tf_n2uq.graph.graph_function import GraphFunction
from tf_n2uq.graph.model_ends import input_names

# Arrays are cut into batches of so many examples.
_BATCH = 32
# After so many batches of a dataset that does not tell its length, a warning asks for `steps`.
_MANY_BATCHES = 1000


def list_batches(
    model: keras.Model | GraphFunction, dataset: Any, steps: int | None = None
) -> Iterator[Any]:
    """Yields the inputs of a model, batch by batch, without labels.

    Args:
        model: the model or function whose `inputs` say which shapes are expected.
        dataset: as for `tf_n2uq.calibrate`.
        steps: the number of batches to read at most; None for all.

    Yields:
        A nest of float32 tensors. A batch that is a dictionary becomes a list in the order of the
        model's inputs. Empty batches are left out.

    Raises:
        TypeError: if `dataset` is no dataset, no iterable and no array.
        ValueError: if a batch has a wrong shape, or holds NaN or infinite values. The error says
            which batch. Also if `dataset` is infinite and `steps` is None, or if `steps` is no
            number of batches.
    """
    _check_steps(steps)
    batches = itertools.islice(_as_iterable(model, dataset, steps), steps)
    for number, batch in enumerate(batches):
        unknown = steps is None and dataset_length(model, dataset) is None
        if number == _MANY_BATCHES and unknown:
            logging.warning(
                'dataset: %d batches have been read, and the dataset does not tell its length. If '
                'it never ends, interrupt the program and give a dataset that does, or steps=100.',
                _MANY_BATCHES,
            )
        if isinstance(batch, (tuple, list)) and len(batch) > 1:
            batch = keras.utils.unpack_x_y_sample_weight(tuple(batch))[0]
        elif isinstance(batch, (tuple, list)):
            (batch,) = batch
        if isinstance(batch, Mapping):
            batch = _in_order(model, batch, number)
        inputs = tf.nest.map_structure(lambda x: tf.cast(x, tf.float32), batch)
        _check_batch(model, tf.nest.flatten(inputs), number)
        if tf.nest.flatten(inputs)[0].shape[0]:
            yield inputs


def dataset_length(
    model: keras.Model | GraphFunction, dataset: Any, steps: int | None = None
) -> int | None:
    """Returns the number of batches to read; None if it is not known or not finite.

    Args:
        model: the model or function that reads the batches.
        dataset: as for `tf_n2uq.calibrate`.
        steps: the number of batches to read at most; None for all.
    """
    length: int | None = None
    arrays = _arrays(model, dataset)
    if arrays:
        length = math.ceil(len(arrays[0]) / _BATCH)
    elif isinstance(dataset, tf.data.Dataset):
        cardinality = int(dataset.cardinality())
        length = cardinality if cardinality >= 0 else None
        if cardinality == tf.data.INFINITE_CARDINALITY:
            length = steps
    elif _has_places(dataset):
        length = len(dataset)
    return length if length is None or steps is None else min(length, steps)


def end_progress(progress: keras.utils.Progbar, count: int) -> None:
    """Ends the line of a progress bar that expected another number of batches, or did not know it.

    Args:
        progress: the bar.
        count: the number of batches that have come.
    """
    if progress.target != count:
        progress.target = count
        progress.update(count, finalize=True)


def _check_steps(steps: Any) -> None:
    whole = isinstance(steps, (int, np.integer)) and not isinstance(steps, bool)
    if steps is not None and not (whole and steps >= 1):
        raise ValueError(
            f'steps: expected the number of batches to read, at least 1, or None for all, got '
            f'{steps!r}; give a number such as 100.'
        )


def _as_iterable(
    model: keras.Model | GraphFunction, dataset: Any, steps: int | None
) -> Iterable[Any]:
    arrays = _arrays(model, dataset)
    if arrays and _is_array(dataset):
        return _cut(arrays, lambda parts: parts[0])
    if arrays and isinstance(dataset, Mapping):
        names = list(dataset)
        return _cut(arrays, lambda parts: dict(zip(names, parts, strict=True)))
    if arrays:
        return _cut(arrays, lambda parts: (parts,))
    is_tf_data = isinstance(dataset, tf.data.Dataset)
    if is_tf_data and steps is None and dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            'dataset: expected a dataset that ends, got one that repeats for ever; take some '
            'batches, dataset.take(100), or give steps=100 if the function has this argument.'
        )
    if _has_places(dataset):
        # The iterators of Keras' ImageDataGenerator never end, but have a length.
        return (dataset[place] for place in range(len(dataset)))
    if not isinstance(dataset, Iterable):
        raise TypeError(
            'dataset: expected a tf.data.Dataset, an iterable of batches or an array, got '
            f'{type(dataset).__name__}; give one of these.'
        )
    return dataset


def _arrays(model: keras.Model | GraphFunction, dataset: Any) -> list[Any]:
    """Returns the arrays of a dataset that has one for each input, as for Keras' `predict`."""
    if _is_array(dataset):
        return [dataset]
    if isinstance(dataset, Mapping):
        return list(dataset.values()) if all(map(_is_array, dataset.values())) else []
    is_list = isinstance(dataset, (list, tuple)) and len(dataset) == len(model.inputs) > 1
    return list(dataset) if is_list and all(map(_is_array, dataset)) else []


def _cut(arrays: list[Any], join: Any) -> Iterator[Any]:
    """Yields batches of arrays that have an example per row."""
    lengths = {len(array) for array in arrays}
    if len(lengths) > 1:
        raise ValueError(
            f'dataset: expected arrays of the same number of examples, got {sorted(lengths)}; '
            'give one row per example in each.'
        )
    for start in range(0, lengths.pop(), _BATCH):
        yield join([array[start : start + _BATCH] for array in arrays])


def _is_array(value: Any) -> bool:
    return isinstance(value, (np.ndarray, tf.Tensor))


def _has_places(dataset: Any) -> bool:
    """Tells whether a dataset gives each batch by its place, as `keras.utils.Sequence` does."""
    return isinstance(dataset, (list, tuple)) or (
        hasattr(dataset, '__getitem__')
        and hasattr(dataset, '__len__')
        and not isinstance(dataset, (Mapping, str, bytes, tf.data.Dataset))
    )


def _in_order(
    model: keras.Model | GraphFunction, batch: Mapping[str, Any], number: int
) -> list[Any]:
    """Returns the entries of a batch in the order of the inputs of a model."""
    is_function = isinstance(model, GraphFunction)
    names = model.input_names if is_function else input_names(model)
    if set(batch) != set(names):
        raise ValueError(
            f'dataset: expected batches with the inputs {", ".join(names)}, got '
            f'{", ".join(map(str, batch))} in batch {number}; give an array for each input.'
        )
    return [batch[name] for name in names]


def _check_batch(model: keras.Model | GraphFunction, tensors: list[tf.Tensor], number: int) -> None:
    expected = tf.nest.flatten(model.inputs)
    shapes = [tuple(tensor.shape) for tensor in expected]
    if len(tensors) != len(expected) or not all(
        tensor.shape.is_compatible_with(want.shape)
        for tensor, want in zip(tensors, expected, strict=True)
    ):
        raise ValueError(
            f'dataset: expected batches of shape {shapes} (None: any size), got '
            f'{[tuple(tensor.shape) for tensor in tensors]} in batch {number}; give batches as for '
            'fit.'
        )
    for tensor in tensors:
        if not bool(tf.reduce_all(tf.math.is_finite(tensor))):
            raise ValueError(
                f'dataset: expected finite values, got NaN or infinity in batch {number}; leave '
                'such values out.'
            )
