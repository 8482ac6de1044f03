"""Loads image classification datasets of TensorFlow Datasets by their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tf_n2uq.data.splits import ImageData, Split

_MAXIMUM = {'uint8': 255, 'uint16': 65535}
_SHUFFLE_BUFFER = 10_000


class TfdsSplit(Split):
    """A split, or a part of one, that a TensorFlow Datasets builder reads from its files."""

    def __init__(
        self, builder: Any, split: str, keys: tuple[str, str], image_size: tuple[int, int] | None
    ) -> None:
        """Creates a split, without opening a file.

        Args:
            builder: A prepared `tfds.core.DatasetBuilder`.
            split: A split as TensorFlow Datasets writes it, such as 'train[:90%]'.
            keys: The names of the image and the label in an example.
            image_size: Height and width in pixels that images are resized to. None leaves them as
                they are.

        Raises:
            ValueError: The split has no example.
        """
        self._builder = builder
        self._split = split
        self._keys = keys
        self._image_size = image_size
        self._examples = int(builder.info.splits[split].num_examples)
        if not self._examples:
            raise ValueError(
                f'name: expected a dataset with examples in {split!r}, got none in '
                f'{builder.info.full_name!r}. Give another dataset.'
            )

    @property
    def examples(self) -> int:
        """The number of examples."""
        return self._examples

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of every image."""
        height, width, channels = self._builder.info.features[self._keys[0]].shape
        height, width = self._image_size or (height, width)
        return height, width, channels

    def _stream(self, shuffle: bool, seed: int) -> tf.data.Dataset:
        import tensorflow_datasets as tfds

        config = tfds.ReadConfig(shuffle_seed=seed)
        examples = self._builder.as_dataset(
            split=self._split, shuffle_files=shuffle, read_config=config
        )
        examples = examples.map(self._select, num_parallel_calls=tf.data.AUTOTUNE)
        # Progress bars need the number of examples, and tf.data does not know it where files are
        # read in turns.
        examples = examples.apply(tf.data.experimental.assert_cardinality(self._examples))
        if shuffle:
            buffer = min(self._examples, _SHUFFLE_BUFFER)
            examples = examples.shuffle(buffer, seed, reshuffle_each_iteration=True)
        return examples

    def _select(self, example: dict[str, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        image, label = (example[key] for key in self._keys)
        if self._image_size is not None:
            resized = tf.image.resize(image, self._image_size, antialias=True)
            image = tf.cast(tf.round(resized), image.dtype)
        return image, label

    def _decode(self, *batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        images, labels = batch
        maximum = _MAXIMUM[images.dtype.name]
        return tf.cast(images, tf.float32) / maximum, tf.cast(labels, tf.int32)


def load_tfds(
    name: str,
    tfds_name: str,
    data_dir: str | Path | None = None,
    image_size: tuple[int, int] | None = None,
) -> ImageData:
    """Loads an image classification dataset of TensorFlow Datasets.

    Args:
        name: The name of the result.
        tfds_name: The name of the dataset, with config and version if wanted.
        data_dir: The folder of TensorFlow Datasets. None means its default folder.
        image_size: Height and width in pixels to resize to. They are needed if the images differ
            in size.

    Returns:
        The dataset. Its test split is 'test', or 'validation' where there is no 'test'. Its
        validation split is 'validation' where there are both, or the last tenth of 'train'.

    Raises:
        ImportError: TensorFlow Datasets is not installed.
        ValueError: TensorFlow Datasets knows no dataset of this name, the dataset has no image or
            no class label or lacks splits, `image_size` is not two positive integers, or
            `image_size` is needed and None.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ImportError(
            f'name: {name!r} expected the package tensorflow-datasets, which is not installed. '
            "Install it with: pip install 'tf_n2uq[data]'"
        ) from error
    try:
        builder = tfds.builder(tfds_name, data_dir=None if data_dir is None else str(data_dir))
    except tfds.core.registered.DatasetNotFoundError as error:
        raise ValueError(
            f'name: expected tfds: and a dataset that TensorFlow Datasets knows or that is in '
            f'data_dir={data_dir!r}, got {tfds_name!r}. Give one of these.'
        ) from error
    builder.download_and_prepare()
    image_key, label_key = _find_features(tfds, builder)
    image_size = _check_image_size(builder, image_key, image_size)
    splits = [
        TfdsSplit(builder, split, (image_key, label_key), image_size)
        for split in _choose_splits(builder)
    ]
    classes = builder.info.features[label_key].num_classes
    return ImageData(name, splits[0].image_shape, classes, *splits)


def _find_features(tfds: Any, builder: Any) -> tuple[str, str]:
    """Returns the names of the image and the label."""
    features = dict(builder.info.features)
    keys = builder.info.supervised_keys
    if keys is None:
        images = [k for k, f in features.items() if isinstance(f, tfds.features.Image)]
        labels = [k for k, f in features.items() if isinstance(f, tfds.features.ClassLabel)]
        keys = (*images, *labels) if len(images) == len(labels) == 1 else None
    if keys is not None and len(keys) == 2:
        image, label = keys
        if (
            isinstance(features.get(image), tfds.features.Image)
            and features[image].shape[-1] is not None
            and features[image].np_dtype.__name__ in _MAXIMUM
            and isinstance(features.get(label), tfds.features.ClassLabel)
        ):
            return image, label
    raise ValueError(
        'name: expected a dataset with one image (uint8 or uint16, fixed channels) and one class '
        f'label, got {builder.info.full_name!r} with {features}. Give another dataset.'
    )


def _check_image_size(
    builder: Any, image_key: str, image_size: tuple[int, int] | None
) -> tuple[int, int] | None:
    size = tuple(builder.info.features[image_key].shape[:2])
    if image_size is None:
        if None in size:
            raise ValueError(
                f'image_size: expected (height, width), because the images of '
                f'{builder.info.full_name!r} differ in size, got None. Give the size to resize to.'
            )
        return None
    if not _is_size(image_size):
        raise ValueError(
            f'image_size: expected two positive integers, got {image_size!r}. Give (height, width) '
            'in pixels.'
        )
    height, width = image_size
    return None if (height, width) == size else (height, width)


def _is_size(value: Any) -> bool:
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        return False
    return all(isinstance(n, (int, np.integer)) and n > 0 for n in value)


def _choose_splits(builder: Any) -> tuple[str, str, str]:
    """Returns the parts for training, validation and test."""
    found = set(builder.info.splits)
    if 'train' in found and {'validation', 'test'} <= found:
        return 'train', 'validation', 'test'
    for test in ('test', 'validation'):
        if 'train' in found and test in found:
            return 'train[:90%]', 'train[90%:]', test
    raise ValueError(
        f"name: expected a dataset with the splits 'train' and 'test' (or 'validation'), "
        f'got {builder.info.full_name!r} with {sorted(found)}. Give another dataset.'
    )
