"""Reads ImageNet as TensorFlow Datasets prepares it, without decoding whole images."""

from __future__ import annotations

import os
from typing import Any

import tensorflow as tf

from tf_n2uq.data.encoded import EncodedImageData
from tf_n2uq.data.tfrecords import RecordSplit

IMAGENET = 'imagenet2012'


def load_imagenet_tfds(
    data_dir: str | os.PathLike[str] | None = None, name: str = IMAGENET
) -> EncodedImageData:
    """Loads a dataset of TensorFlow Datasets that has been prepared before.

    Args:
        data_dir: The folder of TensorFlow Datasets. None means its default folder.
        name: The name of the dataset, with config and version if wanted. The dataset has the
            features 'image' and 'label' and the splits 'train' and 'validation'.

    Returns:
        The dataset.

    Raises:
        FileNotFoundError: The dataset has not been prepared in this folder.
        ImportError: TensorFlow Datasets is not installed.
        ValueError: TensorFlow Datasets does not know `name`, or the dataset lacks a
            feature or split, or is not stored as TFRecord files.
    """
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise ImportError(
            "source: 'tfds' expected the package tensorflow-datasets, which is not installed. "
            "Install it with: pip install 'tf_n2uq[data]'"
        ) from error
    try:
        builder = tfds.builder(name, data_dir=None if data_dir is None else os.fspath(data_dir))
    except tfds.core.registered.DatasetNotFoundError as error:
        raise ValueError(
            f'name: expected a dataset that TensorFlow Datasets knows, got {name!r}. '
            f'Give {IMAGENET!r}.'
        ) from error
    _check_prepared(tfds, builder)
    label = builder.info.features['label']
    return EncodedImageData(
        name='tfds',
        classes=label.num_classes,
        class_names=tuple(label.names),
        train=_load_split(tfds, builder, 'train'),
        validation=_load_split(tfds, builder, 'validation'),
    )


def _load_split(tfds: Any, builder: Any, split: str) -> RecordSplit:
    decoders = {'image': tfds.decode.SkipDecoding()}
    features = builder.info.features

    # The order of `as_dataset` cannot be chosen by the number of an epoch.
    def parse(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        example = features.deserialize_example(record, decoders=decoders)
        return example['image'], example['label']

    info = builder.info.splits[split]
    files = [os.fspath(path) for path in info.filepaths]
    description = f'split {split!r} in {os.fspath(builder.data_dir)!r}'
    classes = features['label'].num_classes
    return RecordSplit(description, files, parse, classes, info.num_examples)


def _check_prepared(tfds: Any, builder: Any) -> None:
    full_name, folder = builder.info.full_name, os.fspath(builder.data_dir)
    if not tf.io.gfile.exists(folder):
        raise FileNotFoundError(
            f'data_dir: expected {full_name!r} in {folder!r}, got no such folder. Prepare it with: '
            f'tfds build {builder.name} --manual_dir=FOLDER_OF_THE_ARCHIVES --data_dir=…'
        )
    splits, file_format = set(builder.info.splits), builder.info.file_format
    if not {'train', 'validation'} <= splits:
        raise ValueError(
            f"name: expected a dataset with the splits 'train' and 'validation', got "
            f'{full_name!r} with {sorted(splits)}. Give {IMAGENET!r}, or load it by tfds:NAME.'
        )
    if file_format is not tfds.core.file_adapters.FileFormat.TFRECORD:
        raise ValueError(
            f'data_dir: expected {full_name!r} in TFRecord files, got {file_format} in {folder!r}. '
            'Prepare it with --file_format=tfrecord.'
        )
    features = dict(builder.info.features)
    if not isinstance(features.get('image'), tfds.features.Image) or not isinstance(
        features.get('label'), tfds.features.ClassLabel
    ):
        raise ValueError(
            f"name: expected a dataset with the features 'image' and 'label', got {full_name!r} "
            f'with {sorted(features)}. Give {IMAGENET!r}.'
        )
