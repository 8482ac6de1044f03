"""Reads encoded images in TFRecord files, as ImageNet is usually converted."""

from __future__ import annotations

import functools
import os
import struct
from collections.abc import Callable, Mapping

import tensorflow as tf
from google.protobuf import message  # type: ignore[import-untyped]

from tf_n2uq.data.encoded import EncodedExample, EncodedImageData, EncodedSplit
from tf_n2uq.data.integers import integer
from tf_n2uq.data.skipping import BLOCK

Parse = Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]

_PATTERNS = {'train': ('train-*',), 'validation': ('validation-*', 'val-*')}
_IMAGE, _LABEL = 'image/encoded', 'image/class/label'
_CYCLE = 16
_BLOCK = 2048
# A key is the number of a file times this, plus the position in the file.
_KEYS_PER_FILE = 2**40


class RecordSplit(EncodedSplit):
    """A split that is read from TFRecord files, several at a time."""

    def __init__(
        self,
        description: str,
        files: list[str],
        parse: Parse,
        classes: int,
        examples: int | None = None,
    ) -> None:
        """Creates a split, without opening a file.

        Args:
            description: The words for the split in error messages.
            files: The paths of the TFRecord files.
            parse: A function that makes the encoded image, string `[]`, and the label, an integer
                `[]` that is 0 for the first class, from one record.
            classes: The number of classes. A label out of range stops the iteration with an
                `InvalidArgumentError`.
            examples: The number of records. With None they are counted when first asked for.
        """
        super().__init__(description, classes)
        self._paths = files
        with tf.device('CPU'):
            self._files = tf.constant(files)
        self._parse_record = parse
        self._known_examples = examples

    @functools.cached_property
    def _examples(self) -> int:
        if self._known_examples is not None:
            return self._known_examples
        return sum(map(_count_records, self._paths))

    @property
    def examples(self) -> int:
        """The number of examples, broken images included.

        Where the source does not tell the number, its first use reads the headers of all records.

        Raises:
            ValueError: A file is truncated.
        """
        return self._examples

    def blocks(
        self, epoch: tf.Tensor, shuffle: bool, seed: int, shard: tuple[int, int]
    ) -> tf.data.Dataset:
        """Returns file numbers, positions in the files, and records.

        Every worker reads its own files where there is at least one for each. Otherwise every
        worker reads everything and keeps every count-th record.

        Shuffling takes the files in another order, sixteen at a time in turns, and then mixes each
        2048 records that follow one another.
        """
        index, count = shard
        number = len(self._paths)
        by_file = number >= count
        files = tf.data.Dataset.range(*(index, number, count) if by_file else (number,))
        key = tf.stack([tf.constant(seed, tf.int64), epoch])
        if shuffle:
            last = tf.constant(number - 1, tf.int64)
            files = files.map(lambda i: tf.random.experimental.index_shuffle(i, key, last))
            records = files.interleave(
                self._read_file, _CYCLE, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
            )
        else:
            records = files.flat_map(self._read_file)
        if not by_file:
            records = records.shard(count, index)
        return (_mix(records, key) if shuffle else records).batch(BLOCK)

    def names(self, *block: tf.Tensor) -> tf.Tensor:
        """Returns the paths of the files and, behind a #, the positions of the records."""
        files, positions, _ = block
        paths = tf.gather(self._files, files)
        return tf.strings.join([paths, tf.strings.as_string(positions)], '#')

    def keys(self, *block: tf.Tensor) -> tf.Tensor:
        """Returns a number for each record, by its file and its position in the file."""
        files, positions, _ = block
        return files * _KEYS_PER_FILE + positions

    def parse(self, *element: tf.Tensor) -> EncodedExample:
        """Returns the example in a record."""
        image, label = self._parse_record(element[-1])
        return EncodedExample(label, image)

    def find(self, name: str) -> tf.Tensor:
        """Returns the image of the record with a name that `names` gave."""
        file, position = name.rsplit('#', 1)
        record = next(iter(tf.data.TFRecordDataset(file).skip(int(position)).take(1)))
        return self._parse_record(record)[0]

    def _read_file(self, file: tf.Tensor) -> tf.data.Dataset:
        records = tf.data.TFRecordDataset(tf.gather(self._files, file)).enumerate()
        return records.map(lambda position, record: (file, position, record))


def load_tfrecords(
    data_dir: str | os.PathLike[str], label_offset: int = 1, classes: int = 1000
) -> EncodedImageData:
    """Loads files `train-*` and `validation-*` (or `val-*`) of `tf.train.Example` records.

    Args:
        data_dir: The folder of the files, or a folder with the folders `train` and `validation`
            (`val`) of the files, in any file system that `tf.io.gfile` reads.
        label_offset: The label of the first class in the files. The well-known conversion counts
            from 1, and leaves 0 to a background class that no image has. An offset of 1 with 1000
            classes leaves that class out, and an offset of 0 with 1001 classes keeps it.
        classes: The number of classes.

    Returns:
        The dataset. Records have the features `image/encoded` (bytes) and `image/class/label`
        (an integer).

    Raises:
        FileNotFoundError: There are no such files.
        TypeError: An argument is not an integer.
        ValueError: The first record has no such features or a label out of range, or `classes` is
            below one.
    """
    label_offset, classes = integer(label_offset, 'label_offset'), integer(classes, 'classes')
    if classes < 1:
        raise ValueError(f'classes: expected at least 1, got {classes}. Give 1000 for ImageNet.')
    splits = {}
    for split in _PATTERNS:
        files = find_records(os.fspath(data_dir), split)
        if not files:
            raise FileNotFoundError(
                f'data_dir: expected TFRecord files {" or ".join(_PATTERNS[split])} in '
                f'{os.fspath(data_dir)!r}, got none. Give the folder that the conversion wrote.'
            )
        _check_first_record(files[0], label_offset, classes)
        parse = functools.partial(_parse_example, label_offset=label_offset)
        description = f'split {split!r} in {os.fspath(data_dir)!r}'
        splits[split] = RecordSplit(description, files, parse, classes)
    return EncodedImageData('tfrecords', classes, None, **splits)


def find_records(data_dir: str, split: str) -> list[str]:
    """Returns the paths of a split's TFRecord files, sorted.

    Args:
        data_dir: The folder of the files, see `load_tfrecords`.
        split: 'train' or 'validation'.

    Returns:
        The paths, or an empty list if there are none.
    """
    for pattern in _PATTERNS[split]:
        for place in (pattern, os.path.join(pattern.removesuffix('-*'), pattern)):
            files = tf.io.gfile.glob(os.path.join(data_dir, place))
            if files := sorted(file for file in files if not tf.io.gfile.isdir(file)):
                return files
    return []


def _mix(records: tf.data.Dataset, key: tf.Tensor) -> tf.data.Dataset:
    """Mixes each block of records, while the next block is read."""

    # The order of `Dataset.shuffle` would depend on `tf.random.set_seed` as well.
    def mix_block(block: tf.Tensor, elements: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, ...]:
        size = tf.shape(elements[0], tf.int64)[0]
        block_key = tf.random.experimental.stateless_fold_in(key, block)
        order = tf.random.experimental.index_shuffle(tf.range(size), block_key, size - 1)
        return tuple(tf.gather(values, order) for values in elements)

    blocks = records.batch(_BLOCK).enumerate()
    return blocks.map(lambda block, elements: mix_block(block, elements)).prefetch(1).unbatch()


def _parse_example(record: tf.Tensor, label_offset: int) -> tuple[tf.Tensor, tf.Tensor]:
    features = {
        _IMAGE: tf.io.FixedLenFeature([], tf.string),
        _LABEL: tf.io.FixedLenFeature([], tf.int64),
    }
    example = tf.io.parse_single_example(record, features)
    return example[_IMAGE], example[_LABEL] - label_offset


def _check_first_record(file: str, label_offset: int, classes: int) -> None:
    """Refuses at once a file that would otherwise stop an epoch."""
    features = _first_features(file)
    images, labels = features[_IMAGE].bytes_list.value, features[_LABEL].int64_list.value
    if len(images) != 1 or len(labels) != 1:
        found = sorted(name for name in features if features[name].WhichOneof('kind'))
        raise ValueError(
            f'data_dir: expected the features {_IMAGE} (bytes) and {_LABEL} (an integer) in '
            f'{file!r}, got {found}. Convert the images with these names.'
        )
    if not 0 <= labels[0] - label_offset < classes:
        raise ValueError(
            f'label_offset: expected labels {label_offset}..{label_offset + classes - 1} in the '
            f'files with classes={classes}, got {labels[0]} in {file!r}. Give the label_offset '
            'and classes that the files were written with.'
        )


def _first_features(file: str) -> Mapping[str, tf.train.Feature]:
    try:
        records = list(tf.data.TFRecordDataset(file).take(1).as_numpy_iterator())
    except tf.errors.DataLossError as error:
        raise ValueError(
            f'data_dir: expected TFRecords in {file!r}, got something else or a damaged file '
            f'({error.message}). Get or convert it again.'
        ) from error
    if not records:
        raise ValueError(
            f'data_dir: expected at least one record in {file!r}, got none. Convert it again.'
        )
    try:
        return tf.train.Example.FromString(records[0]).features.feature
    except message.DecodeError as error:
        raise ValueError(
            f'data_dir: expected tf.train.Example records in {file!r}, got something else '
            f'({error}). Convert the images again.'
        ) from error


def _count_records(file: str) -> int:
    """Counts records by the lengths in front of them, without reading the records."""
    count, position = 0, 0
    with tf.io.gfile.GFile(file, 'rb') as stream:
        size = stream.size()
        while position < size:
            stream.seek(position)
            header = stream.read(8)
            # A record has its length (8 bytes), the length's checksum (4), its content, and the
            # content's checksum (4).
            position += 16 + struct.unpack('<Q', header)[0] if len(header) == 8 else size + 1
            count += 1
    if position != size:
        raise ValueError(
            f'{file}: expected complete records, got a file that ends within one. Convert the '
            'images again.'
        )
    return count
