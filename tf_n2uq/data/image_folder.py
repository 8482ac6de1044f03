"""Reads images in one folder per class, as ImageNet is usually unpacked."""

from __future__ import annotations

import os

import tensorflow as tf

from tf_n2uq.data.encoded import EncodedExample, EncodedImageData, EncodedSplit
from tf_n2uq.data.skipping import BLOCK

_SUFFIXES = ('.jpeg', '.jpg', '.png')
_VALIDATION = ('val', 'validation')


class FolderSplit(EncodedSplit):
    """A split whose images are files."""

    def __init__(
        self, description: str, folder: str, files: list[str], labels: list[int], classes: int
    ) -> None:
        """Creates a split, without opening a file.

        Args:
            description: The words for the split in error messages.
            folder: The folder that `files` are relative to.
            files: The paths of the images.
            labels: The label of each image.
            classes: The number of classes.
        """
        super().__init__(description, classes)
        # Lists would be copied into the graph of every dataset, and tensors are not.
        with tf.device('CPU'):
            self._folder = tf.constant(os.path.join(folder, ''))
            self._files = tf.constant(files)
            self._labels = tf.constant(labels, tf.int32)

    @property
    def examples(self) -> int:
        """The number of examples, broken images included."""
        return len(self._files)

    def blocks(
        self, epoch: tf.Tensor, shuffle: bool, seed: int, shard: tuple[int, int]
    ) -> tf.data.Dataset:
        """Returns the positions of the files, int64. Each worker takes every count-th one."""
        index, count = shard
        positions = tf.data.Dataset.range(index, self.examples, count).batch(BLOCK)
        if not shuffle:
            return positions
        # A shuffle buffer would mix a part of the split at a time. This mixes the whole split, and
        # every worker in the same way.
        key = tf.stack([tf.constant(seed, tf.int64), epoch])
        last = tf.constant(self.examples - 1, tf.int64)
        return positions.map(
            lambda positions: tf.random.experimental.index_shuffle(positions, key, last)
        )

    def names(self, *block: tf.Tensor) -> tf.Tensor:
        """Returns the paths of the files at positions."""
        (positions,) = block
        return self._folder + tf.gather(self._files, positions)

    def keys(self, *block: tf.Tensor) -> tf.Tensor:
        """Returns the positions."""
        return block[0]

    def parse(self, *element: tf.Tensor) -> EncodedExample:
        """Returns the file at a position."""
        (position,) = element
        return EncodedExample(tf.gather(self._labels, position), self.names(position))

    def find(self, name: str) -> tf.Tensor:
        """Returns the content of the file with a path."""
        return tf.io.read_file(name)

    def read(self, source: tf.Tensor) -> tf.Tensor:
        """Returns the content of a file."""
        return tf.io.read_file(source)


def load_image_folder(data_dir: str | os.PathLike[str]) -> EncodedImageData:
    """Loads `train/CLASS/*` and `val/CLASS/*` (or `validation/CLASS/*`).

    Args:
        data_dir: The folder that holds both, in any file system that `tf.io.gfile` reads.

    Returns:
        The dataset. Its classes are the folders in `train`, sorted by name. Its images are the
        files that end in .jpeg, .jpg or .png in either case, whatever format they really have.

    Raises:
        FileNotFoundError: A folder is missing.
        ValueError: There are no classes, a class has no image, or the validation images have
            a class that the training images do not have.
    """
    root = os.fspath(data_dir)
    train_dir = _find_folder(root, ('train',))
    validation_dir = _find_folder(root, _VALIDATION)
    classes = _class_folders(train_dir)
    for name in _class_folders(validation_dir):
        if name not in classes:
            raise ValueError(
                f'data_dir: expected the same classes in {validation_dir!r} as in {train_dir!r}, '
                f'got {name!r} in the former alone. Sort the images into the same folders.'
            )
    return EncodedImageData(
        name='folder',
        classes=len(classes),
        class_names=tuple(classes),
        train=_load_split('train', root, train_dir, classes),
        validation=_load_split('validation', root, validation_dir, classes),
    )


def has_image_folder(data_dir: str) -> bool:
    """Tells whether there is a folder for training images.

    Args:
        data_dir: A folder, in any file system that `tf.io.gfile` reads.
    """
    return tf.io.gfile.isdir(os.path.join(data_dir, 'train'))


def _find_folder(root: str, names: tuple[str, ...]) -> str:
    for name in names:
        folder = os.path.join(root, name)
        if tf.io.gfile.isdir(folder):
            return folder
    raise FileNotFoundError(
        f'data_dir: expected a folder with {" or ".join(names)}/CLASS/*.JPEG, got {root!r}, which '
        f'has no folder {" or ".join(names)}. Give the folder that ImageNet was unpacked into.'
    )


def _class_folders(folder: str) -> list[str]:
    # Some file systems list folders with a slash at the end.
    names = sorted(name.rstrip('/') for name in tf.io.gfile.listdir(folder))
    classes = [
        name
        for name in names
        if not name.startswith('.') and tf.io.gfile.isdir(os.path.join(folder, name))
    ]
    if not classes:
        raise ValueError(
            f'data_dir: expected one folder per class in {folder!r}, got none. '
            'Unpack the images into folders with the names of their classes.'
        )
    return classes


def _load_split(split: str, root: str, folder: str, classes: list[str]) -> FolderSplit:
    files: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        path = os.path.join(folder, name)
        if not tf.io.gfile.isdir(path):
            continue
        found = sorted(f for f in tf.io.gfile.listdir(path) if f.lower().endswith(_SUFFIXES))
        if not found:
            raise ValueError(
                f'data_dir: expected images ({", ".join(_SUFFIXES)}) in the class folder {path!r}, '
                'got none. Unpack its images, or remove the folder.'
            )
        files += [f'{name}/{file}' for file in found]
        labels += [label] * len(found)
    return FolderSplit(f'split {split!r} in {root!r}', folder, files, labels, len(classes))
