"""Trains into the folder of a run, so that a crash costs at most one epoch."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras
from absl import logging

from tf_n2uq.training import argument_checks, best_checkpoint, distribution, files, metrics_log

_METRICS = 'metrics.jsonl'
_BACKUP = 'backup'


def fit(
    model: keras.Model,
    train: tf.data.Dataset,
    validation: tf.data.Dataset | None = None,
    *,
    epochs: int,
    run_dir: str | os.PathLike[str],
    resume: bool = False,
    monitor: str | None = None,
    mode: str | None = None,
    best: str = 'best.keras',
    callbacks: Sequence[keras.callbacks.Callback] = (),
    steps_per_epoch: int | None = None,
    validation_steps: int | None = None,
    verbose: Any = 'auto',
) -> list[dict[str, Any]]:
    """Trains a model as `model.fit` does, and keeps in a folder all that resuming needs.

    The folder holds `backup/` (weights, optimizer state and epoch count after the last whole
    epoch), `metrics.jsonl` (one line per epoch), and the best model with its JSON record. After a
    crash the same call with `resume=True` and a model that is built and compiled the same way goes
    on after the last whole epoch. The shuffling of `train` is moved on to that epoch too. A dataset
    with seeds therefore gives the weights that an uninterrupted training would have given, unless
    the model itself draws random numbers (Dropout) or validation reads the same shuffled dataset
    object. A dataset that is distributed already is not moved on, so it has to begin with epoch
    `epochs_done(run_dir)`. The caller's callbacks start anew.

    Under a `tf.distribute` strategy with several workers each of them calls this function with the
    same arguments and the same folder, which they share. They checkpoint and resume together, and
    the files of the chief stay.

    Args:
        model: A built and compiled tf_keras model, which a `Distillation` is, too.
        train: Batches of (images, labels) as a `tf.data.Dataset`, or a dataset from
            `distribution.distribute`.
        validation: Batches of (images, labels) for the validation metrics, or None.
        epochs: The number of epochs in all, those before a crash included.
        run_dir: The folder. It is created if it is not there.
        resume: Whether to go on with the run in `run_dir`. If False, `run_dir` must not hold one.
        monitor: The metric that selects the best epoch. None means 'val_accuracy', or 'loss'
            without validation data.
        mode: 'max' if a higher value of the metric is better, 'min' if a lower one is. With None
            the words of the metric's name decide, see `BestCheckpoint`.
        best: The file name of the best model inside `run_dir`. Its ending selects the format, see
            `BestCheckpoint`.
        callbacks: Further Keras callbacks.
        steps_per_epoch: The number of batches in an epoch, for a `train` without end. None means
            all of `train`.
        validation_steps: The number of batches of `validation`, which is needed if `validation`
            is distributed already.
        verbose: Keras' progress bar: 'auto', 0, 1 or 2.

    Returns:
        The metrics of all epochs of the run, as `read_metrics` reads them.

    Raises:
        TypeError: `model` is not a tf_keras model, `train` or `validation` is not a dataset,
            `epochs` is not an integer, or `run_dir` is not a path.
        ValueError: The model is not built or compiled; `epochs` is below one; `train` is empty;
            `mode` is None and the metric's name does not tell; `run_dir` holds a run and `resume`
            is False, or none and `resume` is True; its checkpoint belongs to another model or
            optimizer; or workers see different folders.
        OSError: `run_dir` cannot be written.
    """
    _check_model(model)
    _check_dataset(train, 'train')
    if validation is not None:
        _check_dataset(validation, 'validation')
    epochs = argument_checks.positive_integer(epochs, 'epochs')
    folder = files.writable_folder(run_dir, 'run_dir')
    _check_run(folder, best, resume)
    strategy = model.distribute_strategy
    own = _own_folder(strategy, folder, best)
    metrics_path = os.path.join(own, _METRICS)
    backup = _Backup(model, os.path.join(own, _BACKUP))
    keep_best = best_checkpoint.BestCheckpoint(
        os.path.join(own, best),
        monitor or ('loss' if validation is None else 'val_accuracy'),
        mode,
    )
    if resume:
        backup.restore(os.path.join(folder, _BACKUP))
    # All workers have looked at the folder before the first of them writes in it.
    distribution.check_same_on_every_worker(
        strategy, backup.epochs_done, 'the number of epochs done'
    )
    if resume:
        metrics_log.drop_epochs_after(metrics_path, backup.epochs_done)
        if isinstance(train, tf.data.Dataset):
            _move_on(train, backup.epochs_done)
    else:
        files.replace_text(metrics_path, '')
    if backup.epochs_done >= epochs:
        logging.info('%s already holds %d of %d epochs.', folder, backup.epochs_done, epochs)
    else:
        model.fit(
            train,
            validation_data=validation,
            epochs=epochs,
            initial_epoch=backup.epochs_done,
            steps_per_epoch=steps_per_epoch,
            validation_steps=validation_steps,
            # The backup is last: an epoch counts as done when all else about it is on disk.
            callbacks=[*callbacks, keep_best, metrics_log.MetricsLog(metrics_path), backup],
            verbose=verbose,
        )
    rows = metrics_log.read_metrics(metrics_path)
    if own != folder:
        shutil.rmtree(own)
    return rows


def epochs_done(run_dir: str | os.PathLike[str]) -> int:
    """Returns the number of whole epochs of the run in a folder, after which `fit` would resume.

    Args:
        run_dir: The folder of the run.

    Returns:
        The number of epochs, or 0 without a run.
    """
    newest = tf.train.latest_checkpoint(os.path.join(os.fspath(run_dir), _BACKUP))
    return 0 if newest is None else int(newest.rpartition('-')[2])


def _own_folder(strategy: tf.distribute.Strategy, folder: str, best: str) -> str:
    """Returns the folder of this worker, with the metrics and the best model so far in it."""
    own = distribution.folder_of_worker(strategy, folder)
    if own == folder:
        return folder
    shutil.rmtree(os.path.join(own, _BACKUP), ignore_errors=True)
    for name in (_METRICS, best, best_checkpoint.record_path(best)):
        source, copy = os.path.join(folder, name), os.path.join(own, name)
        if os.path.exists(source):
            shutil.copyfile(source, copy)
        elif os.path.exists(copy):
            os.remove(copy)
    return own


class _Backup(keras.callbacks.Callback):
    """Checkpoint of weights, optimizer and epoch count after each epoch; the newest is kept."""

    def __init__(self, model: keras.Model, folder: str) -> None:
        super().__init__()
        with model.distribute_strategy.scope():
            # The optimizer's state has to exist for a restored value to be checked against it.
            model.optimizer.build(model.trainable_variables)
            self._epochs_done = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._checkpoint = tf.train.Checkpoint(model=model, epochs_done=self._epochs_done)
        self._manager = tf.train.CheckpointManager(self._checkpoint, folder, max_to_keep=1)

    @property
    def epochs_done(self) -> int:
        return int(self._epochs_done.numpy())

    def restore(self, folder: str) -> None:
        newest = tf.train.latest_checkpoint(folder)
        if newest is None:
            return
        try:
            status = self._checkpoint.restore(newest)
            status.assert_existing_objects_matched()
            status.assert_consumed()
        except (AssertionError, ValueError, tf.errors.OpError) as error:
            raise ValueError(
                f'model: expected the model and optimizer of the checkpoint in {folder!r}, got '
                f'others: {error}. Build and compile the model as for the run that is resumed, or '
                'give another run_dir.'
            ) from error

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epochs_done.assign(epoch + 1)
        self._manager.save(checkpoint_number=epoch + 1)


def _move_on(dataset: tf.data.Dataset, epochs: int) -> None:
    """Makes a seeded dataset draw the seeds of some epochs, as each iterator draws one."""
    for _ in range(epochs):
        iter(dataset)


def _check_model(model: Any) -> None:
    if not isinstance(model, keras.Model):
        raise TypeError(
            f'model: expected a tf_keras model, got {type(model).__module__}.'
            f'{type(model).__name__}. Build it with `import tf_keras as keras`.'
        )
    if not model.built:
        raise ValueError(
            f'model: expected a model that is built, got {model.name!r}, which is not. Call '
            '`model.build(input_shape)` first.'
        )
    if model.optimizer is None:
        raise ValueError(
            f'model: expected a model that is compiled, got {model.name!r}, which is not. Call '
            '`model.compile(optimizer=...)` first.'
        )
    if not hasattr(model.optimizer, 'build'):
        raise ValueError(
            'model: expected an optimizer of `tf_keras.optimizers`, got the legacy '
            f'{type(model.optimizer).__name__}. Compile the model with another one.'
        )


def _check_dataset(dataset: Any, name: str) -> None:
    if not isinstance(dataset, (tf.data.Dataset, tf.distribute.DistributedDataset)):
        raise TypeError(
            f'{name}: expected a tf.data.Dataset of (images, labels) batches, got '
            f'{type(dataset).__name__}. Make one with tf.data.Dataset.from_tensor_slices.'
        )
    if isinstance(dataset, tf.data.Dataset) and int(dataset.cardinality()) == 0:
        raise ValueError(
            f'{name}: expected at least one batch, got an empty dataset. Give more examples, or '
            'smaller batches.'
        )


def _check_run(folder: str, best: str, resume: bool) -> None:
    names = (_METRICS, _BACKUP, best, best_checkpoint.record_path(best))
    found = [name for name in names if os.path.exists(os.path.join(folder, name))]
    if found and not resume:
        raise ValueError(
            f'run_dir: expected a folder without a run, got {folder!r}, which holds one '
            f'({", ".join(found)}). Pass resume=True to go on with it, or give another folder.'
        )
    if resume and _METRICS not in found:
        raise ValueError(
            f'run_dir: expected a folder with a run to resume, got {folder!r}, which holds none. '
            'Pass resume=False to start one there, or give the folder of the run.'
        )
