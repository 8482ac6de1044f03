"""Datasets of three splits of images and labels, as `tf.data` or as arrays."""

from __future__ import annotations

import abc
import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from tf_n2uq.data.augment import AUGMENTATIONS, augment_images
from tf_n2uq.data.integers import integer


class Split(abc.ABC):
    """Images and labels of one split."""

    @property
    @abc.abstractmethod
    def examples(self) -> int:
        """The number of examples."""

    @property
    @abc.abstractmethod
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""

    @abc.abstractmethod
    def _stream(self, shuffle: bool, seed: int) -> tf.data.Dataset:
        """Returns single examples, which `_decode` takes in batches."""

    @abc.abstractmethod
    def _decode(self, *batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns float32 images in 0..1 and int32 labels of one batch of the stream."""

    def dataset(
        self,
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        repeat: bool = False,
        drop_remainder: bool = False,
        augment: str | None = None,
        max_shift: int | None = None,
    ) -> tf.data.Dataset:
        """Returns the split in batches.

        Two datasets with equal arguments give equal batches, epoch by epoch. The order and the
        augmentation differ from one epoch to the next. As everywhere in `tf.data`, the order
        also depends on `tf.random.set_seed` where the program calls it.

        Args:
            batch_size: The number of examples in a batch.
            shuffle: Whether each epoch has its own order.
            seed: The seed of order and augmentation, an integer.
            repeat: Whether the dataset starts again when it ends, without end.
            drop_remainder: Whether a last batch with fewer examples is left out.
            augment: None for the images as they are, 'shift' for random shifts that are filled
                with zeros, 'shift_flip' to mirror half of the images left to right as well.
            max_shift: The largest shift in pixels. None means an eighth of the shorter side, at
                least one pixel.

        Returns:
            A dataset of float32 images `[batch, height, width, channels]` in 0..1 and int32
            labels `[batch]`.

        Raises:
            TypeError: `batch_size`, `seed` or `max_shift` is not an integer.
            ValueError: `batch_size` is below one or leaves no batch at all, `augment` is not
                known, `max_shift` does not fit into the images, or `max_shift` is given without
                `augment`.
        """
        seed = integer(seed, 'seed')
        self._check_batch_size(batch_size, drop_remainder)
        pad = self._check_augmentation(augment, max_shift)
        examples = self._stream(shuffle, seed)
        decode: Callable[..., Any] = self._decode
        if augment is not None:
            # Each example has its random number before it is in a batch, so that the size of the
            # batch changes nothing.
            randoms = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True)
            examples = tf.data.Dataset.zip((examples, randoms))
            decode = functools.partial(self._decode_augmented, augment=augment, max_shift=pad)
        if repeat:
            examples = examples.repeat()
        options = tf.data.Options()
        options.deterministic = True
        # There is one source, and there are no files to share out, so that every replica reads its
        # part of the source.
        options.experimental_distribute.auto_shard_policy = (
            tf.data.experimental.AutoShardPolicy.DATA
        )
        batches = examples.batch(batch_size, drop_remainder)
        batches = batches.map(decode, num_parallel_calls=tf.data.AUTOTUNE)
        return batches.with_options(options).prefetch(tf.data.AUTOTUNE)

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the whole split in its own order, all in memory.

        Returns:
            Images, float32 `[examples, height, width, channels]` in 0..1, and labels, int32
            `[examples]`.
        """
        batches = list(self.dataset(min(self.examples, 1024)).as_numpy_iterator())
        images, labels = zip(*batches, strict=True)
        return np.concatenate(images), np.concatenate(labels)

    def _decode_augmented(
        self, example: Any, randoms: tf.Tensor, augment: str, max_shift: int
    ) -> tuple[tf.Tensor, tf.Tensor]:
        images, labels = self._decode(*tf.nest.flatten(example))
        return augment_images(images, randoms, augment, max_shift), labels

    def _check_batch_size(self, batch_size: int, drop_remainder: bool) -> None:
        if integer(batch_size, 'batch_size') < 1:
            raise ValueError(
                f'batch_size: expected at least 1, got {batch_size}. Give a positive integer.'
            )
        if drop_remainder and batch_size > self.examples:
            raise ValueError(
                f'batch_size: expected at most {self.examples}, the number of examples, with '
                f'drop_remainder=True, got {batch_size}, which leaves no batch. Give a smaller '
                'batch_size.'
            )

    def _check_augmentation(self, augment: str | None, max_shift: int | None) -> int:
        if augment is None:
            if max_shift is not None:
                raise ValueError(
                    f'max_shift: expected None without augment, got {max_shift}. Give augment one '
                    f'of {AUGMENTATIONS}.'
                )
            return 0
        if augment not in AUGMENTATIONS:
            raise ValueError(
                f'augment: expected None or one of {AUGMENTATIONS}, got {augment!r}. Give one of '
                'these.'
            )
        side = min(self.image_shape[:2])
        if max_shift is None:
            return max(1, side // 8)
        if not 0 <= integer(max_shift, 'max_shift') < side:
            raise ValueError(
                f'max_shift: expected 0 to {side - 1}, less than the shorter side of the images, '
                f'got {max_shift}. Give a smaller shift.'
            )
        return max_shift


class ArraySplit(Split):
    """A split that is held in memory."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, maximum: int = 255) -> None:
        """Creates a split of arrays, whose bytes become floats batch by batch.

        Args:
            images: The images, uint8 `[examples, height, width, channels]`.
            labels: The labels, integers `[examples]`.
            maximum: The value of `images` that means 1.0.

        Raises:
            TypeError: `maximum` is not an integer.
            ValueError: There is no example, `images` are not uint8 with four dimensions or have
                values above `maximum`, `maximum` is below one, or `labels` are not one integer for
                each image.
        """
        if integer(maximum, 'maximum') < 1:
            raise ValueError(f'maximum: expected at least 1, got {maximum}. Give 255 for bytes.')
        if images.ndim != 4 or images.dtype != np.uint8 or not images.size:
            raise ValueError(
                'images: expected uint8 [examples, height, width, channels] with at least one '
                f'example, got {images.dtype} {list(images.shape)}. Give images of bytes.'
            )
        if images.max() > maximum:
            raise ValueError(
                f'images: expected values of at most {maximum}, got {images.max()}. Give a larger '
                'maximum.'
            )
        if labels.shape != images.shape[:1] or labels.dtype.kind not in 'ui':
            raise ValueError(
                f'labels: expected integers [{len(images)}], one for each image, got '
                f'{labels.dtype} {list(labels.shape)}. Give the number of a class for each image.'
            )
        # An array would be copied into the graph of every dataset, and a tensor is not.
        with tf.device('CPU'):
            self._images = tf.constant(images)
            self._labels = tf.constant(labels, tf.int32)
        self._maximum = maximum

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
        images = tf.cast(tf.gather(self._images, indices), tf.float32) / self._maximum
        return images, tf.gather(self._labels, indices)


@dataclasses.dataclass(frozen=True)
class ImageData:
    """An image classification dataset.

    Attributes:
        name: The name that the dataset was loaded by.
        image_shape: Height, width and channels of every image.
        classes: The number of classes. Labels are 0..classes−1.
        train: The split that a network learns from.
        validation: The split by which epochs and settings are chosen.
        test: The split whose results are reported, which serves no other purpose.
    """

    name: str
    image_shape: tuple[int, int, int]
    classes: int
    train: Split
    validation: Split
    test: Split
