"""Keeps the model of the best epoch on disk."""

from __future__ import annotations

import json
import math
import os
from typing import Any

import tf_keras as keras
from absl import logging

from tf_n2uq.training import files
from tf_n2uq.training.student_trainer import StudentTrainer

_FORMATS = ('.weights.h5', '.keras', '.h5')


class BestCheckpoint(keras.callbacks.Callback):
    """Saves the model after each epoch that is better than every epoch before.

    Of a `Distillation` or an `AdaptiveTraining` it saves the student. Best value and epoch stand in
    a JSON file beside the model (`best.keras` and `best.json`), so a training that is resumed, in
    the same process or in another, does not overwrite a better model. Both are written to a
    temporary name and renamed.

    Attributes:
        best: Best value so far; None before the first.

    Args:
        path: File to write: `*.keras` or `*.h5` for the whole model, `*.weights.h5` for its
            weights. Its folder must exist.
        monitor: Name of the metric to compare.
        mode: 'max' if higher is better, 'min' if lower is; None: 'min' for a name with 'loss' in
            it, else 'max'.

    Raises:
        ValueError: `path` has another ending; its folder does not exist; `mode` is another word;
            or the JSON file beside it is not one of this callback for the same `monitor` and
            `mode`.
    """

    def __init__(
        self, path: str | os.PathLike[str], monitor: str = 'val_accuracy', mode: str | None = None
    ) -> None:
        super().__init__()
        self._path = os.fspath(path)
        self._format = _format_of(self._path)
        self._record_path = record_path(self._path)
        if not os.path.isdir(os.path.dirname(self._path) or '.'):
            raise ValueError(f'`path` must lie in a folder that exists, got {self._path!r}.')
        if mode not in ('max', 'min', None):
            raise ValueError(f"`mode` must be 'max', 'min' or None, got {mode!r}.")
        self._monitor = monitor
        self._mode = mode or ('min' if 'loss' in monitor else 'max')
        self.best = self._recorded_value()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Saves the model if this epoch is the best.

        Raises:
            ValueError: `monitor` is not among the metrics.
        """
        logs = logs or {}
        if self._monitor not in logs:
            raise ValueError(
                f'`monitor` is {self._monitor!r}, but the epoch has only the metrics '
                f'{sorted(logs)}. Name one of them, or pass validation data.'
            )
        value = float(logs[self._monitor])
        if not self._is_better(value):
            return
        files.replace_file(self._path, self._save, suffix=self._format)
        record = {
            'monitor': self._monitor,
            'mode': self._mode,
            'value': value,
            'epoch': epoch + 1,
        }
        files.replace_text(self._record_path, json.dumps(record) + '\n')
        self.best = value

    def _is_better(self, value: float) -> bool:
        if not math.isfinite(value):
            return False
        if self.best is None:
            return True
        return value > self.best if self._mode == 'max' else value < self.best

    def _save(self, path: str) -> None:
        model = self.model.student if isinstance(self.model, StudentTrainer) else self.model
        if self._format == '.weights.h5':
            model.save_weights(path)
        else:
            model.save(path)

    def _recorded_value(self) -> float | None:
        if not os.path.exists(self._record_path):
            return None
        try:
            with open(self._record_path, encoding='utf-8') as file:
                record = json.load(file)
            found = (record['monitor'], record['mode'])
            value = float(record['value'])
        except (ValueError, TypeError, KeyError) as error:
            raise ValueError(
                f'{self._record_path!r} does not hold the record of a best checkpoint ({error!r}). '
                'Give another `path`, or move the file away.'
            ) from error
        if found != (self._monitor, self._mode):
            raise ValueError(
                f'`monitor`: {self._record_path!r} records the best {found}, not '
                f'{(self._monitor, self._mode)}. Monitor the same metric, or give another `path`.'
            )
        if not os.path.exists(self._path):
            logging.warning('%s records a best model that is gone.', self._record_path)
            return None
        return value


def record_path(path: str) -> str:
    """The JSON file beside the model `path`: `best.json` for `best.keras`.

    Raises:
        ValueError: `path` has an ending that `BestCheckpoint` does not write.
    """
    return path.removesuffix(_format_of(path)) + '.json'


def _format_of(path: str) -> str:
    found = next((end for end in _FORMATS if path.endswith(end)), None)
    if found is None:
        raise ValueError(f'`path` must end in one of {_FORMATS}, got {path!r}.')
    return found
