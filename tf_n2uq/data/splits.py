"""What every dataset gives: three splits of images and labels, as `tf.data` or as arrays."""

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
        """Returns single examples, in the form that `_decode` takes in batches."""

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

        Two datasets with equal arguments give equal batches, epoch by epoch; the order and the
        augmentation differ from one epoch to the next. As everywhere in `tf.data`, the order
        also depends on `tf.random.set_seed` where the program calls it.

        Args:
            batch_size: examples in a batch.
            shuffle: whether each epoch has its own order.
            seed: what order and augmentation depend on.
            repeat: whether the dataset starts again when it ends, without end.
            drop_remainder: whether a last batch with fewer examples is left out.
            augment: None; 'shift' for random shifts, zeros coming in; 'shift_flip' for mirror
                images as well.
            max_shift: the largest shift in pixels; None: an eighth of the shorter side, at least
                one pixel.

        Returns:
            A dataset of float32 images `[batch, height, width, channels]` in 0..1 and int32
            labels `[batch]`.

        Raises:
            TypeError: if `batch_size` or `max_shift` is not an integer.
            ValueError: if `batch_size` is below one or leaves no batch at all, if `augment` is
                not known, or `max_shift` does not fit into the images or nothing is augmented.
        """
        self._check_batch_size(batch_size, drop_remainder)
        pad = self._check_augmentation(augment, max_shift)
        examples = self._stream(shuffle, seed)
        decode: Callable[..., Any] = self._decode
        if augment is not None:
            # One random number travels with each example, so batching does not change it.
            randoms = tf.data.Dataset.random(seed=seed, rerandomize_each_iteration=True)
            examples = tf.data.Dataset.zip((examples, randoms))
            decode = functools.partial(self._decode_augmented, augment=augment, max_shift=pad)
        if repeat:
            examples = examples.repeat()
        options = tf.data.Options()
        options.deterministic = True
        # There is one source and no files to share out: every replica reads its part of it.
        options.experimental_distribute.auto_shard_policy = (
            tf.data.experimental.AutoShardPolicy.DATA
        )
        batches = examples.batch(batch_size, drop_remainder)
        batches = batches.map(decode, num_parallel_calls=tf.data.AUTOTUNE)
        return batches.with_options(options).prefetch(tf.data.AUTOTUNE)

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns the whole split in its own order, all in memory.

        Returns:
            float32 images `[examples, height, width, channels]` in 0..1, int32 labels
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
            raise ValueError(f'batch_size: expected at least 1, got {batch_size}.')
        if drop_remainder and batch_size > self.examples:
            raise ValueError(
                f'batch_size: expected at most {self.examples}, the number of examples, with '
                f'drop_remainder=True, got {batch_size}: no batch would be left.'
            )

    def _check_augmentation(self, augment: str | None, max_shift: int | None) -> int:
        if augment is None:
            if max_shift is not None:
                raise ValueError(
                    f'max_shift: expected None without augment=, got {max_shift}. '
                    f'Give augment= one of {AUGMENTATIONS}.'
                )
            return 0
        if augment not in AUGMENTATIONS:
            raise ValueError(f'augment: expected None or one of {AUGMENTATIONS}, got {augment!r}.')
        side = min(self.image_shape[:2])
        if max_shift is None:
            return max(1, side // 8)
        if not 0 <= integer(max_shift, 'max_shift') < side:
            raise ValueError(
                f'max_shift: expected 0 to {side - 1}, less than the shorter side of the images, '
                f'got {max_shift}.'
            )
        return max_shift


class ArraySplit(Split):
    """A split that is held in memory."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, maximum: int = 255) -> None:
        """Takes the arrays as they are; bytes become floats batch by batch.

        Args:
            images: uint8 `[examples, height, width, channels]`.
            labels: integers `[examples]`.
            maximum: the value that means 1.0.

        Raises:
            ValueError: if there is no example, if `images` are not uint8 with four dimensions or
                have values above `maximum`, or if `labels` are not one integer for each image.
        """
        if images.ndim != 4 or images.dtype != np.uint8 or not images.size:
            raise ValueError(
                'images: expected uint8 [examples, height, width, channels] with at least one '
                f'example, got {images.dtype} {list(images.shape)}.'
            )
        if images.max() > maximum:
            raise ValueError(f'images: expected values of at most {maximum}, got {images.max()}.')
        if labels.shape != images.shape[:1] or labels.dtype.kind not in 'ui':
            raise ValueError(
                f'labels: expected integers [{len(images)}], one for each image, got '
                f'{labels.dtype} {list(labels.shape)}.'
            )
        # Tensors, not arrays: an array would be copied into the graph of every dataset.
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
        name: the name it was loaded by.
        image_shape: height, width and channels of every image.
        classes: the number of classes; labels are 0..classes−1.
        train: what a network learns from.
        validation: what epochs and settings are chosen by.
        test: what is reported, and nothing else.
    """

    name: str
    image_shape: tuple[int, int, int]
    classes: int
    train: Split
    validation: Split
    test: Split
