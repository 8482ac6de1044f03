"""Shows how fast a training is and how long it will take."""

from __future__ import annotations

import sys
import time
from typing import Any

import tensorflow as tf
import tf_keras as keras
import tqdm

from tf_n2uq.training import argument_checks

_SECONDS_BETWEEN_LINES_OF_A_FILE = 60.0
_SECONDS_BETWEEN_UPDATES = 0.5


class Progress(keras.callbacks.Callback):
    """Shows images per second and the time left, and logs `images_per_second` after each epoch.

    Within an epoch a bar shows the rate, the time left and the loss. After each epoch one line
    shows its metrics and the time left for all epochs. The rate is that of training alone, without
    the first step, in which TensorFlow traces the model, and without validation.

    The callback stands before `MetricsLog`, so that the log has the rate. `fit` puts its
    `callbacks` there.

    Args:
        batch_size: The number of images in a batch of all replicas together, at least one.
        visible: Whether to show anything. The rate is logged in any case.
        unit: The word for an image in the bar.

    Raises:
        TypeError: `batch_size` is not an integer.
        ValueError: `batch_size` is below one.
    """

    def __init__(self, batch_size: int, visible: bool = True, unit: str = 'img') -> None:
        super().__init__()
        # Keras would fetch every batch's metrics for this callback otherwise.
        self._supports_tf_logs = True
        self._batch_size = argument_checks.positive_integer(batch_size, 'batch_size')
        self._visible = visible
        self._unit = unit
        self._bar: Any = None
        self._rate = _Rate()

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Starts the bar."""
        self._rate = _Rate()
        steps = self.params.get('steps')
        interactive = sys.stderr.isatty()
        pause = _SECONDS_BETWEEN_UPDATES if interactive else _SECONDS_BETWEEN_LINES_OF_A_FILE
        self._bar = tqdm.tqdm(
            total=steps and steps * self._batch_size,
            desc=f'epoch {epoch + 1}/{self.params["epochs"]}',
            unit=self._unit,
            unit_scale=True,
            leave=False,
            disable=not self._visible,
            mininterval=pause,
            delay=pause,
        )

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Counts the batch."""
        self._rate.count(self._batch_size)
        if self._bar.update(self._batch_size) and logs and 'loss' in logs:
            loss = float(logs['loss']) / _summands(self.model)
            self._bar.set_postfix(loss=f'{loss:.4f}', refresh=False)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Ends the bar and prints the epoch's line."""
        self._bar.close()
        logs = logs if logs is not None else {}
        logs['images_per_second'] = self._rate.per_second()
        if not self._visible:
            return
        epochs = self.params['epochs']
        left = (epochs - epoch - 1) * self._rate.seconds_since_start()
        metrics = ', '.join(f'{name} {float(value):.4g}' for name, value in logs.items())
        print(f'epoch {epoch + 1}/{epochs}: {metrics}; {duration(left)} left', flush=True)


def _summands(model: keras.Model) -> int:
    """Returns the number of replicas whose metrics Keras adds up after a batch.

    After an epoch Keras takes their mean instead.
    """
    strategy = model.distribute_strategy
    tpu = isinstance(strategy, tf.distribute.TPUStrategy)
    return 1 if tpu else strategy.num_replicas_in_sync


class _Rate:
    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._first = self._last = self._start
        self._images = 0
        self._steps = 0

    def count(self, images: int) -> None:
        self._last = time.perf_counter()
        self._steps += 1
        if self._steps == 1:
            self._first = self._last
        else:
            self._images += images

    def per_second(self) -> float:
        """Returns images per second after the first step, or NaN without a second one."""
        seconds = self._last - self._first
        return self._images / seconds if seconds > 0 else float('nan')

    def seconds_since_start(self) -> float:
        return time.perf_counter() - self._start


def input_speed(dataset: tf.data.Dataset, batches: int = 20) -> float:
    """Measures how many images per second a dataset gives when nothing else runs.

    Args:
        dataset: Batches of images, or of tuples that start with images. It is read from its
            beginning, so it must not be the dataset of a training, whose order would move on.
        batches: The number of batches to read after the first, which fills the buffers.

    Returns:
        Images per second, or NaN if the dataset has only one batch.

    Raises:
        TypeError: `batches` is not an integer.
        ValueError: `batches` is below one.
    """
    batches = argument_checks.positive_integer(batches, 'batches')
    rate = _Rate()
    for batch in dataset.take(batches + 1):
        rate.count(len(tf.nest.flatten(batch)[0]))
    return rate.per_second()


def duration(seconds: float) -> str:
    """Returns a number of seconds as people say it, such as `2 h 05 min`.

    Args:
        seconds: A duration of zero or more seconds.
    """
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f'{rest} s'
    hours, minutes = divmod(minutes, 60)
    return f'{hours} h {minutes:02} min' if hours else f'{minutes} min {rest:02} s'
