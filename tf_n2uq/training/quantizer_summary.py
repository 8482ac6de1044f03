"""Writes loss, accuracy, and the values and levels of quantizers for TensorBoard."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.training import files, occupancy
from tf_n2uq.training.student_trainer import StudentTrainer


class QuantizerSummary(keras.callbacks.Callback):
    """Writes after each epoch how every learned activation quantizer treats a sample.

    There are these summaries for each quantizer, under the name of its layer:

    - `<layer>/input`: a histogram of the values that enter it;
    - `<layer>/thresholds`: a histogram of its thresholds, in the same units;
    - `<layer>/levels`: a histogram of the levels that the values fall on, one bar per level;
    - `<layer>/occupancy/<level>`: the fraction of the values on that level.

    Of a `Distillation` or an `AdaptiveTraining` the callback looks at the student, at its active
    bit-width. The step is the epoch, from 0 as in Keras' `TensorBoard` callback. Training raises
    a ValueError if the model has no learned activation quantizer or the sample is empty.

    Args:
        log_dir: The folder for the event file. It is created if it is not there.
        dataset_sample: The model's input for one batch, such as images
            `[batch, height, width, channels]`.

    Raises:
        ImportError: The package `tensorboard` is not installed.
        OSError: `log_dir` cannot be written.
        TypeError: `log_dir` is not a path.
    """

    def __init__(self, log_dir: str | os.PathLike[str], dataset_sample: Any) -> None:
        super().__init__()
        _check_tensorboard()
        self._log_dir = files.writable_folder(log_dir, 'log_dir')
        self._sample = dataset_sample
        self._probe: occupancy.QuantizerProbe | None = None
        self._writer: Any = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Builds the inference of the sample.

        Raises:
            ValueError: The model has no learned activation quantizer.
        """
        model = self.model.student if isinstance(self.model, StudentTrainer) else self.model
        self._probe = occupancy.QuantizerProbe(model)
        self._writer = tf.summary.create_file_writer(self._log_dir)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Writes the summaries of all quantizers.

        Args:
            epoch: The number of the epoch, from 0.
            logs: The metrics of the epoch, which are not read.

        Raises:
            ValueError: The sample is empty.
        """
        assert self._probe is not None
        readings = self._probe.read(self._sample)
        with self._writer.as_default(step=epoch):
            for layer in self._probe.layers:
                values, fractions = readings[layer.name]
                tf.summary.histogram(f'{layer.name}/input', values)
                tf.summary.histogram(f'{layer.name}/thresholds', occupancy.thresholds(layer))
                _write_occupancy(layer.name, fractions, values.size)
        self._writer.flush()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Closes the event file."""
        self._writer.close()


def tensorboard_callbacks(
    log_dir: str | os.PathLike[str], dataset_sample: Any
) -> list[keras.callbacks.Callback]:
    """Returns Keras' `TensorBoard` for loss and metrics, and a `QuantizerSummary`.

    Args:
        log_dir: The folder for `tensorboard --logdir`. It is created if it is not there.
        dataset_sample: See `QuantizerSummary`.

    Returns:
        Callbacks for `fit`.

    Raises:
        ImportError: The package `tensorboard` is not installed.
        OSError: `log_dir` cannot be written.
        TypeError: `log_dir` is not a path.
    """
    summary = QuantizerSummary(os.path.join(os.fspath(log_dir), 'quantizers'), dataset_sample)
    return [keras.callbacks.TensorBoard(os.fspath(log_dir), write_graph=False), summary]


def _write_occupancy(name: str, fractions: np.ndarray, size: int) -> None:
    for level, fraction in enumerate(fractions):
        tf.summary.scalar(f'{name}/occupancy/{level}', fraction)
    # TensorFlow's histogram summary chooses its own edges, which would not part the levels.
    counts = np.asarray(fractions, np.float64) * size
    edges = np.arange(len(fractions) + 1) - 0.5
    bars = np.stack([edges[:-1], edges[1:], counts], axis=1)
    _write_bars(f'{name}/levels', bars)


def _write_bars(tag: str, bars: np.ndarray) -> None:
    """Writes a histogram whose rows are left edge, right edge and count, `[bars, 3]`."""
    from tensorboard.plugins.histogram import metadata

    tf.summary.write(
        tag,
        tf.constant(bars, tf.float64),
        metadata=metadata.create_summary_metadata(display_name=None, description=None),
    )


def _check_tensorboard() -> None:
    try:
        import tensorboard  # noqa: F401
    except ImportError as error:
        raise ImportError(
            'QuantizerSummary: expected the package tensorboard, which is not installed. Install '
            'it with: pip install tensorboard'
        ) from error
