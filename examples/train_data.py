"""The data of `train_imagenet.py`: batches for training, validation and calibration."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from train_config import IMAGENET, TrainConfig

import tf_n2uq
from tf_n2uq.training import distribution

_CALIBRATION_BATCH = 64


class TrainData:
    """ImageNet, or one of the small datasets of `tf_n2uq.data.load`, for a strategy.

    Attributes:
        classes: The number of classes.
        input_shape: The height, width and channels of the network's input.
        steps_per_epoch: The number of training batches in an epoch.
        validation_steps: The number of validation batches; None where the dataset itself ends.
    """

    def __init__(
        self, config: TrainConfig, data_dir: str | None, strategy: tf.distribute.Strategy
    ) -> None:
        """Opens the data.

        Args:
            config: The configuration of the training.
            data_dir: The folder of the data, None for none.
            strategy: The devices that share the batches.

        Raises:
            ImportError: A package that reads the data is not installed.
            OSError: The data is not there.
            ValueError: The data is damaged, or has less than one batch.
        """
        distribution.check_batch_size(strategy, config.batch_size)
        self._config = config
        self._strategy = strategy
        self._is_imagenet = config.dataset == IMAGENET
        self._data: Any
        if self._is_imagenet:
            if data_dir is None and config.source != 'tfds':
                raise ValueError(
                    '--data_dir: expected the folder of ImageNet (train/ and val/, TFRecords, or '
                    'imagenet2012/ of TensorFlow Datasets), got none. To try the pipeline without '
                    'data: --config=quickstart'
                )
            self._data = tf_n2uq.data.load_imagenet(
                data_dir, config.source, config.label_offset, config.classes
            )
            self.input_shape = (config.image_size, config.image_size, 3)
        else:
            self._data = tf_n2uq.data.load(config.dataset, data_dir=data_dir, seed=config.seed)
            self.input_shape = self._data.image_shape
        self.classes = int(self._data.classes)
        self.steps_per_epoch = self._count_steps()
        divided = not isinstance(self.validation(), tf.data.Dataset)
        # The largest part of a worker has as many batches.
        steps = -(-self._data.validation.examples // config.batch_size)
        self.validation_steps = steps if divided else None

    def train(self, first_epoch: int) -> Any:
        """Returns training batches for `fit`.

        Args:
            first_epoch: The epoch at which a resumed training on ImageNet goes on, from 0. For
                other data, `fit` moves the order on.
        """
        config = self._config
        if not self._is_imagenet:
            batches = self._small_train().take(self.steps_per_epoch)
            # `fit` has to know where an epoch ends, whatever is left of the data.
            return batches.apply(tf.data.experimental.assert_cardinality(self.steps_per_epoch))
        return distribution.distribute(
            self._strategy,
            lambda size, index, count: self._imagenet_train(size, first_epoch, (index, count)),
            config.batch_size,
        )

    def validation(self) -> Any:
        """Returns validation batches for `fit` and `evaluate`."""
        if not self._is_imagenet:
            return self._data.validation.dataset(self._config.batch_size)
        return distribution.distribute(
            self._strategy,
            lambda size, index, count: self._imagenet_validation(size, (index, count)),
            self._config.batch_size,
        )

    def validation_images(self, number: int) -> tf.data.Dataset:
        """Returns validation images in small batches, which workers do not divide.

        Args:
            number: The number of images, 0 for all.
        """
        size = min(_CALIBRATION_BATCH, number) if number else _CALIBRATION_BATCH
        if self._is_imagenet:
            batches = self._imagenet_validation(size, (0, 1))
        else:
            batches = self._data.validation.dataset(size)
        if number:
            batches = batches.unbatch().take(number).batch(size)
        return batches

    def calibration(self) -> tf.data.Dataset:
        """Returns training images in the form of validation images, shuffled, not divided."""
        number = self._config.calibration_images
        size = min(_CALIBRATION_BATCH, number)
        options = {'shuffle': True, 'seed': self._config.seed}
        if self._is_imagenet:
            options |= self._form()
        return self._data.train.dataset(size, **options).take(-(-number // size))

    def speed(self) -> float:
        """Measures how many training images per second this machine reads without training."""
        if not self._is_imagenet:
            return tf_n2uq.training.input_speed(self._small_train())
        size = min(self._config.batch_size, _CALIBRATION_BATCH)
        return tf_n2uq.training.input_speed(self._imagenet_train(size, 0, (0, 1)))

    def broken_images(self) -> tuple[str, ...]:
        """Returns the names of the images that this worker skipped because they are broken."""
        if not self._is_imagenet:
            return ()
        return self._data.train.broken.names + self._data.validation.broken.names

    def _small_train(self) -> tf.data.Dataset:
        config = self._config
        shift = 'shift_flip' if config.mirror else 'shift'
        return self._data.train.dataset(
            config.batch_size,
            shuffle=True,
            seed=config.seed,
            drop_remainder=True,
            augment=shift if config.augment else None,
        )

    def _imagenet_train(
        self, batch_size: int, first_epoch: int, shard: tuple[int, int]
    ) -> tf.data.Dataset:
        return self._data.train.dataset(
            batch_size,
            augment=self._config.augment,
            shuffle=True,
            seed=self._config.seed,
            first_epoch=first_epoch,
            # Without an end, because all workers have to make the same number of steps.
            repeat=True,
            drop_remainder=True,
            shard=shard,
            min_area=self._config.min_area,
            **self._form(),
        )

    def _imagenet_validation(self, batch_size: int, shard: tuple[int, int]) -> tf.data.Dataset:
        return self._data.validation.dataset(batch_size, shard=shard, **self._form())

    def _form(self) -> dict[str, Any]:
        return {
            'image_size': self._config.image_size,
            'resize_size': self._config.resize_size,
            'normalize': not self._config.input_integers,
        }

    def _count_steps(self) -> int:
        available = self._data.train.examples // self._config.batch_size
        wanted = self._config.steps_per_epoch
        if not available:
            raise ValueError(
                f'batch_size: expected at most {self._data.train.examples}, the number of '
                f'training images, got {self._config.batch_size}. Give --set batch_size=…'
            )
        return available if wanted is None else min(wanted, available)
