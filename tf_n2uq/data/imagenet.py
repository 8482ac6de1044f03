"""Finds ImageNet, or a dataset in one of its forms, in a folder."""

from __future__ import annotations

import os

import tensorflow as tf

from tf_n2uq.data.encoded import EncodedImageData
from tf_n2uq.data.image_folder import has_image_folder, load_image_folder
from tf_n2uq.data.imagenet_tfds import IMAGENET, load_imagenet_tfds
from tf_n2uq.data.tfrecords import find_records, load_tfrecords

SOURCES = ('folder', 'tfrecords', 'tfds')


def load_imagenet(
    data_dir: str | os.PathLike[str] | None,
    source: str = 'auto',
    label_offset: int | None = None,
    classes: int | None = None,
) -> EncodedImageData:
    """Loads ImageNet, or another dataset in one of its usual forms.

    Args:
        data_dir: The folder with the data. None, for 'tfds' alone, means the default folder of
            TensorFlow Datasets.
        source: One of
            'folder': `train/CLASS/*.JPEG` and `val/CLASS/*.JPEG`, classes sorted by name;
            'tfrecords': `train-*` and `validation-*` with the features `image/encoded` and
            `image/class/label`;
            'tfds': `imagenet2012` of TensorFlow Datasets, prepared;
            'auto': the first of 'tfrecords', 'folder' and 'tfds' that is there.
        label_offset: The label of the first class in the files of 'tfrecords'. None means 1.
        classes: The number of classes in the files of 'tfrecords'. None means 1000.

    Returns:
        The dataset, with the splits `train` and `validation`.

    Raises:
        FileNotFoundError: The data is not there.
        ImportError: TensorFlow Datasets is needed and not installed.
        TypeError: A number is not an integer.
        ValueError: `source` is another word, an argument is given that the source does not take,
            or the data is damaged.
    """
    if source not in (*SOURCES, 'auto'):
        raise ValueError(
            f'source: expected one of {", ".join(SOURCES)} or auto, got {source!r}. '
            "Give 'auto' to take what is there."
        )
    if source == 'auto':
        source = _find_source(data_dir)
    if source == 'tfrecords':
        return load_tfrecords(
            _given(data_dir, source),
            1 if label_offset is None else label_offset,
            1000 if classes is None else classes,
        )
    for name, value in (('label_offset', label_offset), ('classes', classes)):
        if value is not None:
            raise ValueError(
                f'{name}: expected None for the source {source!r}, which says it itself, got '
                f"{value!r}. Leave it out, or give source='tfrecords'."
            )
    if source == 'folder':
        return load_image_folder(_given(data_dir, source))
    return load_imagenet_tfds(data_dir)


def _given(data_dir: str | os.PathLike[str] | None, source: str) -> str:
    if data_dir is None:
        raise ValueError(
            f'data_dir: expected a folder for the source {source!r}, got None. '
            'Give the folder with the data.'
        )
    return os.fspath(data_dir)


def _find_source(data_dir: str | os.PathLike[str] | None) -> str:
    folder = _given(data_dir, 'auto')
    # TFRecords come first, because they, too, may lie in folders called train and validation.
    if find_records(folder, 'train'):
        return 'tfrecords'
    if has_image_folder(folder):
        return 'folder'
    if tf.io.gfile.isdir(os.path.join(folder, IMAGENET)):
        return 'tfds'
    state = 'has none of these' if tf.io.gfile.isdir(folder) else 'is not a folder'
    raise FileNotFoundError(
        f'data_dir: expected a folder with train/CLASS/*.JPEG, TFRecord files train-*, or '
        f'{IMAGENET}/ of TensorFlow Datasets, got {folder!r}, which {state}. '
        'Give the folder that holds the data.'
    )
