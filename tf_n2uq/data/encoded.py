"""Splits of encoded images, which are decoded, cropped and normalised while they are read."""

from __future__ import annotations

import abc
import dataclasses
import itertools
import os
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_n2uq.data import crops, jpeg
from tf_n2uq.data.broken import BrokenImages
from tf_n2uq.data.integers import integer
from tf_n2uq.data.skipping import Decoder

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# With more than one call a core goes on while another call's image is next in order.
_CALLS_PER_CORE = 2


class EncodedExample(NamedTuple):
    """One example before its image is decoded.

    Attributes:
        label: The label, int64 or int32 `[]`.
        source: The argument of `EncodedSplit.read`, such as a path, string `[]`.
    """

    label: tf.Tensor
    source: tf.Tensor


@dataclasses.dataclass(frozen=True)
class _Crop:
    """Turns an encoded image into a network's input, see `EncodedSplit.dataset`."""

    augment: bool
    image_size: int
    resize_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    min_area: float
    normalize: bool

    def draw(self, seed: tf.Tensor, keys: tf.Tensor) -> tuple[crops.Draw, ...]:
        """Returns the draws of examples, or an empty tuple without augmentation."""
        if not self.augment:
            return ()
        return (crops.draw(crops.uniform(seed, keys, crops.RANDOMS), self.min_area),)

    def __call__(self, encoded: tf.Tensor, drawn: tuple[crops.Draw, ...]) -> tf.Tensor:
        if not drawn:
            turned = jpeg.decode_centre(encoded, self.resize_size, self.image_size)
            return self._finish(turned, None)
        box = crops.box(drawn[0], jpeg.image_size(encoded))
        turned = jpeg.resample_box(jpeg.decode_box(encoded, box), self.image_size)
        return self._finish(turned, drawn[0].mirrored)

    def _finish(self, turned: tf.Tensor, flip: tf.Tensor | None) -> tf.Tensor:
        if self.normalize:
            return jpeg.finish(turned, flip, self.mean, self.std)
        # Resampling gives values between the 256 levels.
        return jpeg.finish(tf.round(turned), flip, (0.0,) * 3, (1.0,) * 3)


class EncodedSplit(abc.ABC):
    """Encoded images and labels of one split.

    Attributes:
        broken: The record of skipped images, for all datasets of this split together.
        classes: The number of classes.
    """

    def __init__(self, description: str, classes: int) -> None:
        """Creates a split without broken images.

        Args:
            description: The words for the split in error messages.
            classes: The number of classes.
        """
        self.broken = BrokenImages()
        self.classes = classes
        self._description = description

    @property
    @abc.abstractmethod
    def examples(self) -> int:
        """The number of examples, broken images included."""

    @abc.abstractmethod
    def blocks(
        self, epoch: tf.Tensor, shuffle: bool, seed: int, shard: tuple[int, int]
    ) -> tf.data.Dataset:
        """Returns an epoch in blocks of `BLOCK` examples, a tuple of vectors for each.

        Args:
            epoch: The number of the epoch, int64 `[]`. The order depends on it and on `seed` alone.
            shuffle: Whether each epoch has its own order.
            seed: The seed of the order, 0..2³²−1.
            shard: The index of the part of the split, and the number of parts.
        """

    @abc.abstractmethod
    def names(self, *block: tf.Tensor) -> tf.Tensor:
        """Returns the names by which the user finds a block's images, string `[examples]`."""

    @abc.abstractmethod
    def keys(self, *block: tf.Tensor) -> tf.Tensor:
        """Returns a number of its own for each example of a block, int64 `[examples]`."""

    @abc.abstractmethod
    def parse(self, *element: tf.Tensor) -> EncodedExample:
        """Returns the example that an element of a block stands for."""

    @abc.abstractmethod
    def find(self, name: str) -> tf.Tensor:
        """Returns the encoded image with a name, string `[]`. It is run eagerly."""

    def read(self, source: tf.Tensor) -> tf.Tensor:
        """Returns the encoded image, string `[]`. An image that cannot be read is broken.

        Args:
            source: The source of an `EncodedExample`, string `[]`.
        """
        return source

    def dataset(
        self,
        batch_size: int,
        *,
        augment: bool = False,
        shuffle: bool = False,
        seed: int = 0,
        first_epoch: int = 0,
        repeat: bool = False,
        drop_remainder: bool = False,
        shard: tuple[int, int] = (0, 1),
        image_size: int = 224,
        resize_size: int = 256,
        mean: tuple[float, float, float] = IMAGENET_MEAN,
        std: tuple[float, float, float] = IMAGENET_STD,
        min_area: float = 0.08,
        normalize: bool = True,
    ) -> tf.data.Dataset:
        """Returns the split in batches.

        Two datasets with equal arguments give equal batches, epoch by epoch. Order and crops
        differ from one epoch to the next. Each iteration over the dataset is the next epoch,
        beginning with `first_epoch`. With `repeat`, epoch follows epoch within one iteration.
        `tf.random.set_seed` changes nothing.

        An image that cannot be read or decoded is left out, logged and counted in `broken`, and
        the next one takes its place in the batch. The number of batches is therefore not known
        beforehand, and `cardinality()` says so. Workers that must do equally many steps use
        `repeat` and count.

        The shards are disjoint and together the whole split. Under `tf.distribute`, a dataset of
        one shard of several is not divided any further by `tf.data`. A whole one (0, 1) is divided
        by examples, which makes every worker decode everything.

        Epochs are numbered and broken images recorded in this Python process, so that a dataset
        cannot be sent to another machine. Each of several workers makes its own. Up to 32 decoded
        images per CPU core wait in memory.

        Args:
            batch_size: The number of examples in a batch.
            augment: True for a random part of the image, resized to `image_size` and mirrored half
                of the time, as by torchvision's `RandomResizedCrop` and `RandomHorizontalFlip`.
                False for the middle of the image, after its shorter side was resized to
                `resize_size`.
            shuffle: Whether each epoch has its own order.
            seed: The seed of order and augmentation, 0..2³²−1.
            first_epoch: The number of the first epoch, for going on where a run stopped.
            repeat: Whether the dataset goes on with the next epoch when one ends, without end.
            drop_remainder: Whether a last batch with fewer examples is left out.
            shard: The index of the part of the split, and the number of parts.
            image_size: Height and width of the result in pixels.
            resize_size: Pixels of the shorter side before the middle is taken. Without a middle,
                which is with `augment`, it is not used.
            mean: The numbers that are subtracted from values in 0..1, one per channel.
            std: The numbers that the differences are divided by, one per channel.
            min_area: The smallest random part with `augment`, as a fraction of the image's area.
            normalize: False for values k/255 with whole k from 0 to 255, each of which is a value
                of its own in an 8-bit tensor of the range 0..1. `mean` and `std` are not used then.

        Returns:
            A dataset of float32 images `[batch, image_size, image_size, 3]` and int32 labels
            `[batch]`.

        Raises:
            TypeError: A size or number is not an integer, or `shard` is not a pair.
            ValueError: An argument is out of its range.
        """
        _check_counts(batch_size=batch_size, image_size=image_size, resize_size=resize_size)
        _check_sizes(augment, image_size, resize_size)
        _check_seeds(seed, first_epoch)
        _check_shard(shard)
        _check_colours(mean, std, min_area)
        crop = _Crop(augment, image_size, resize_size, tuple(mean), tuple(std), min_area, normalize)

        def blocks(epoch: tf.Tensor) -> tf.data.Dataset:
            start = tf.bitwise.left_shift(epoch, 32) + seed
            return self.blocks(epoch, shuffle, seed, shard).map(
                lambda *block: (
                    epoch,
                    self.names(*block),
                    (crop.draw(start, self.keys(*block)), block),
                )
            )

        decoder = Decoder(
            decode=lambda element: self._decode(crop, *element),
            placeholder=(np.zeros([image_size, image_size, 3], np.float32), np.array(0, np.int64)),
            broken=self.broken,
            hopeless_from=first_epoch + 1 if repeat else None,
            explain=self._explain,
        )
        examples = decoder(
            _epoch_numbers(first_epoch, repeat).flat_map(blocks),
            _CALLS_PER_CORE * (os.cpu_count() or 1),
        )
        batches = examples.batch(batch_size, drop_remainder).map(self._check_labels)
        return batches.prefetch(tf.data.AUTOTUNE).with_options(_options(shard[1]))

    def _decode(
        self, crop: _Crop, drawn: tuple[crops.Draw, ...], element: tuple[tf.Tensor, ...]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        example = self.parse(*element)
        return crop(self.read(example.source), drawn), tf.cast(example.label, tf.int64)

    def _explain(self, name: str) -> str:
        try:
            tf.io.decode_image(self.find(name))
            reason = 'it can be read now'
        except tf.errors.OpError as error:
            reason = error.message
        return (
            f'all {len(self.broken.names)} images of {self._description} are unreadable, first: '
            f'{name}: {reason}'
        )

    def _check_labels(self, images: tf.Tensor, labels: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        in_range = tf.debugging.Assert(
            tf.reduce_all((labels >= 0) & (labels < self.classes)),
            [
                f'label_offset, classes: expected labels that are 0..{self.classes - 1} after '
                'label_offset was subtracted. Give the label_offset and classes that the data was '
                'written with. Got:',
                labels,
            ],
            summarize=-1,
        )
        with tf.control_dependencies([in_range]):
            return images, tf.cast(labels, tf.int32)


@dataclasses.dataclass(frozen=True)
class EncodedImageData:
    """An image classification dataset whose images are decoded while they are read.

    Attributes:
        name: The kind of the source: 'folder', 'tfrecords' or 'tfds'.
        classes: The number of classes. Labels are 0..classes−1.
        class_names: The names of the classes by label, or None where the source has none.
        train: The split that a network learns from.
        validation: The split that a network is measured on.
    """

    name: str
    classes: int
    class_names: tuple[str, ...] | None
    train: EncodedSplit
    validation: EncodedSplit


def _epoch_numbers(first: int, repeat: bool) -> tf.data.Dataset:
    """Returns one number per epoch of an iteration, int64 `[]`."""
    if repeat:
        return tf.data.Dataset.range(first, np.iinfo(np.int64).max)
    # Nothing in tf.data knows how often a dataset was iterated over.
    numbers = map(np.int64, itertools.count(first))

    def next_number(_: tf.Tensor) -> tf.Tensor:
        return tf.ensure_shape(tf.numpy_function(lambda: next(numbers), [], tf.int64), [])

    return tf.data.Dataset.range(1).map(next_number)


def _options(shards: int) -> tf.data.Options:
    policies = tf.data.experimental.AutoShardPolicy
    options = tf.data.Options()
    options.deterministic = True
    options.experimental_distribute.auto_shard_policy = (
        policies.DATA if shards == 1 else policies.OFF
    )
    # The record of broken images is no part of a saved iterator.
    options.experimental_external_state_policy = tf.data.experimental.ExternalStatePolicy.IGNORE
    # Images are decoded in parallel, so that threads within an image would wait for each other.
    options.threading.max_intra_op_parallelism = 1
    return options


def _check_counts(**values: int) -> None:
    for name, value in values.items():
        if integer(value, name) < 1:
            raise ValueError(f'{name}: expected at least 1, got {value}. Give a positive integer.')


def _check_sizes(augment: bool, image_size: int, resize_size: int) -> None:
    if not augment and image_size > resize_size:
        raise ValueError(
            f'resize_size: expected at least image_size={image_size}, because the middle is cut '
            f'out of the resized image, got {resize_size}. Give a larger resize_size.'
        )


def _check_seeds(seed: int, first_epoch: int) -> None:
    if not 0 <= integer(seed, 'seed') < 2**32:
        raise ValueError(
            f'seed: expected an integer in 0..{2**32 - 1}, got {seed}. Give another seed.'
        )
    if integer(first_epoch, 'first_epoch') < 0:
        raise ValueError(
            f'first_epoch: expected at least 0, got {first_epoch}. Give 0 to begin with the first.'
        )


def _check_shard(shard: tuple[int, int]) -> None:
    if not isinstance(shard, (tuple, list)):
        raise TypeError(f'shard: expected (index, count), got {shard!r}. Give two integers.')
    if len(shard) != 2:
        raise ValueError(f'shard: expected (index, count), got {shard!r}. Give two integers.')
    index, count = (integer(value, 'shard') for value in shard)
    if not 0 <= index < count:
        raise ValueError(
            f'shard: expected (index, count) with index in 0..count−1, got {shard!r}. '
            'Give each worker its own index, the first one 0.'
        )


def _check_colours(mean: tuple[float, ...], std: tuple[float, ...], min_area: float) -> None:
    for name, values in (('mean', mean), ('std', std)):
        if len(values) != 3:
            raise ValueError(
                f'{name}: expected three numbers, for red, green and blue, got {values!r}. '
                'Give them on the scale 0..1.'
            )
    if not all(value > 0 for value in std):
        raise ValueError(
            f'std: expected three numbers above zero, got {std!r}. Give 1.0 for no scaling.'
        )
    if not 0 < min_area <= 1:
        raise ValueError(
            f'min_area: expected a fraction above 0 and at most 1, got {min_area!r}. '
            'Give 0.08 for what is usual.'
        )
