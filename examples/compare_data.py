"""The data of `compare_methods.py`, decoded once and held in memory."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import tensorflow as tf

import tf_n2uq
from tf_n2uq.data import ArraySplit, ImageData, Split

_DECODING_BATCH = 1024


class DecodedSplit(Split):
    """The first examples of another split, decoded once and held in memory as float32."""

    def __init__(self, split: Split, examples: int | None = None) -> None:
        """Decodes the examples.

        Args:
            split: The split that the examples come from.
            examples: The number of examples, None for all.
        """
        examples = examples or split.examples
        batches = split.dataset(min(examples, _DECODING_BATCH))
        pairs = list(batches.unbatch().take(examples).batch(_DECODING_BATCH).as_numpy_iterator())
        images, labels = zip(*pairs, strict=True)
        # Tensors, not arrays: an array would be copied into the graph of every dataset.
        with tf.device('CPU'):
            self._images = tf.constant(np.concatenate(images))
            self._labels = tf.constant(np.concatenate(labels))

    @property
    def examples(self) -> int:
        """The number of examples."""
        return len(self._images)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        _, height, width, channels = self._images.shape
        return height, width, channels

    def _stream(self, shuffle: bool, seed: int) -> tf.data.Dataset:
        indices = tf.data.Dataset.range(self.examples)
        if shuffle:
            indices = indices.shuffle(self.examples, seed, reshuffle_each_iteration=True)
        return indices

    def _decode(self, *batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        (indices,) = batch
        return tf.gather(self._images, indices), tf.gather(self._labels, indices)


def load(name: str, data_dir: str | Path | None, train_examples: int | None) -> ImageData:
    """Loads a data set, with the same splits for every seed of a comparison.

    Args:
        name: The name of the data set, as for `tf_n2uq.data.load`.
        data_dir: The folder of the data set, as for `tf_n2uq.data.load`.
        train_examples: The number of training images to keep, None for all.

    Raises:
        ImportError: The data set needs a package that is not installed.
        OSError: Files of the data set are missing.
        ValueError: The data set is not known, is broken, or has fewer training images.
    """
    data = tf_n2uq.data.load(name, data_dir=data_dir, seed=0)
    there = data.train.examples
    if train_examples is not None and train_examples > there:
        raise ValueError(
            f'--train_examples: expected at most {there}, the training images of {name!r}, got '
            f'{train_examples}. Leave it out to use all.'
        )
    return dataclasses.replace(
        data,
        train=_in_memory(data.train, train_examples),
        validation=_in_memory(data.validation),
        test=_in_memory(data.test),
    )


def _in_memory(split: Split, examples: int | None = None) -> Split:
    whole = examples in (None, split.examples)
    return split if whole and isinstance(split, ArraySplit) else DecodedSplit(split, examples)
