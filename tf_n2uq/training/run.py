"""Training into a run folder, which a crash cannot cost more than one epoch."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras
from absl import logging

from tf_n2uq.training import arguments, best_checkpoint, distribution, files, metrics_log

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
    best: str = 'best.keras',
    callbacks: Sequence[keras.callbacks.Callback] = (),
    steps_per_epoch: int | None = None,
    validation_steps: int | None = None,
    verbose: Any = 'auto',
) -> list[dict[str, Any]]:
    """Trains `model` like `model.fit`, and keeps in `run_dir` what a resumed training needs.

    The folder holds `backup/` (weights, optimizer state and epoch count after the last whole
    epoch), `metrics.jsonl` (one line per epoch), and the best model with its JSON record. After a
    crash the same call with `resume=True` and a model built and compiled the same way goes on
    after the last whole epoch. The shuffling of `train` is moved on to that epoch too, so that a
    dataset with seeds gives the weights that an uninterrupted training would have given, unless
    the model itself draws random numbers (Dropout) or validation reads the same shuffled dataset
    object. What is distributed already is not moved on: have it begin with epoch
    `epochs_done(run_dir)`. Callbacks passed by the caller start anew.

    Under a `tf.distribute` strategy with several workers each of them calls this with the same
    arguments and the same folder, which they share. They checkpoint and resume together; the
    chief's files stay.

    Args:
        model: A built and compiled tf_keras model; a `Distillation` is one.
        train: Batches of (images, labels): a `tf.data.Dataset`, or one that
            `distribution.distribute` made.
        validation: Batches of (images, labels) for the validation metrics, or None.
        epochs: Number of epochs in all, those before a crash included.
        run_dir: The folder; it is created if it is not there.
        resume: Go on with the run in `run_dir`. If False, `run_dir` must not hold one.
        monitor: Metric that selects the best epoch. None: 'val_accuracy', or 'loss' without
            validation data.
        best: File name of the best model inside `run_dir`; the ending selects the format, see
            `BestCheckpoint`.
        callbacks: Further Keras callbacks.
        steps_per_epoch: Batches in an epoch, for a `train` without end; None: all of `train`.
        validation_steps: Batches of `validation`; needed if it is distributed already.
        verbose: Keras' progress bar: 'auto', 0, 1 or 2.

    Returns:
        The metrics of all epochs of the run, as `read_metrics` reads them.

    Raises:
        TypeError: `train` or `validation` is not a dataset, `epochs` is not an integer.
        ValueError: The model is not built or compiled; `epochs` is below one; `train` is empty;
            `run_dir` holds a run and `resume` is False, or none and `resume` is True; its
            checkpoint belongs to another model or optimizer; or workers see different folders.
        OSError: `run_dir` cannot be written.
    """
    _check_model(model)
    _check_dataset(train, 'train')
    if validation is not None:
        _check_dataset(validation, 'validation')
    epochs = arguments.positive_integer(epochs, '`epochs`')
    folder = files.writable_folder(run_dir, 'run_dir')
    _check_run(folder, best, resume)
    strategy = model.distribute_strategy
    own = _own_folder(strategy, folder, best)
    metrics_path = os.path.join(own, _METRICS)
    backup = _Backup(model, os.path.join(own, _BACKUP))
    keep_best = best_checkpoint.BestCheckpoint(
        os.path.join(own, best), monitor or ('loss' if validation is None else 'val_accuracy')
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
    """Returns after which epoch `fit` would resume the run in a folder, 0 without one."""
    newest = tf.train.latest_checkpoint(os.path.join(os.fspath(run_dir), _BACKUP))
    return 0 if newest is None else int(newest.rpartition('-')[2])


def _own_folder(strategy: tf.distribute.Strategy, folder: str, best: str) -> str:
    """Returns where this worker writes, with the metrics and the best model so far in it."""
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
                f'`model`: the checkpoint in {folder!r} cannot be restored into it; build '
                'and compile the model as for the run that is resumed, or give another '
                f'`run_dir`. TensorFlow says: {error}'
            ) from error

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self._epochs_done.assign(epoch + 1)
        self._manager.save(checkpoint_number=epoch + 1)


def _move_on(dataset: tf.data.Dataset, epochs: int) -> None:
    """Makes a seeded dataset draw the seeds of `epochs` epochs, as each iterator does."""
    for _ in range(epochs):
        iter(dataset)


def _check_model(model: Any) -> None:
    if not isinstance(model, keras.Model):
        raise TypeError(
            f'`model` must be a tf_keras model, got {type(model).__module__}.'
            f'{type(model).__name__}.'
        )
    if not model.built:
        raise ValueError(
            f'`model` ({model.name!r}) is not built. Call `model.build(input_shape)` first.'
        )
    if model.optimizer is None:
        raise ValueError(
            f'`model` ({model.name!r}) is not compiled. Call `model.compile(optimizer=...)` first.'
        )
    if not hasattr(model.optimizer, 'build'):
        raise ValueError(
            '`model` must be compiled with an optimizer of `tf_keras.optimizers`, got the legacy '
            f'{type(model.optimizer).__name__}.'
        )


def _check_dataset(dataset: Any, name: str) -> None:
    if not isinstance(dataset, (tf.data.Dataset, tf.distribute.DistributedDataset)):
        raise TypeError(
            f'`{name}` must be a tf.data.Dataset of (images, labels) batches, got '
            f'{type(dataset).__name__}.'
        )
    if isinstance(dataset, tf.data.Dataset) and int(dataset.cardinality()) == 0:
        raise ValueError(f'`{name}` must hold at least one batch, got an empty dataset.')


def _check_run(folder: str, best: str, resume: bool) -> None:
    names = (_METRICS, _BACKUP, best, best_checkpoint.record_path(best))
    found = [name for name in names if os.path.exists(os.path.join(folder, name))]
    if found and not resume:
        raise ValueError(
            f'`run_dir` {folder!r} already holds a run ({", ".join(found)}). Pass resume=True to '
            'go on with it, or give another folder.'
        )
    if resume and _METRICS not in found:
        raise ValueError(
            f'`run_dir` {folder!r} holds no run to resume. Pass resume=False to start one there, '
            'or give the folder of the run.'
        )
