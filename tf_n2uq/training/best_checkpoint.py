"""A callback that keeps the model of the best epoch on disk."""

from __future__ import annotations

import json
import math
import os
from typing import Any

import tf_keras as keras
from absl import logging

from tf_n2uq.training import files
from tf_n2uq.training.monitored_metric import checked_mode
from tf_n2uq.training.student_trainer import StudentTrainer

_FORMATS = ('.weights.h5', '.keras', '.h5')


class BestCheckpoint(keras.callbacks.Callback):
    """Saves the model after each epoch that is better than every epoch before.

    Of a `Distillation` or an `AdaptiveTraining` the callback saves the student. The best value and
    its epoch are in a JSON file beside the model (`best.json` beside `best.keras`), so that a
    training that is resumed, in the same process or in another, does not overwrite a better model.
    Both files are written to a temporary name and renamed.

    Attributes:
        best: The best value so far, or None before the first.

    Args:
        path: The file to write: `*.keras` or `*.h5` for the whole model, `*.weights.h5` for its
            weights. Its folder must exist.
        monitor: The name of the metric to compare.
        mode: 'max' if a higher value is better, 'min' if a lower one is. With None the words of
            the name decide: 'accuracy' and 'auc' are better when they are higher, 'loss' and
            'error' when they are lower.

    Raises:
        ValueError: `path` has another ending; its folder does not exist; `mode` is another word;
            `mode` is None and the name of the metric does not tell; or the JSON file is not the
            record of this callback for the same `monitor` and `mode`.
    """

    def __init__(
        self, path: str | os.PathLike[str], monitor: str = 'val_accuracy', mode: str | None = None
    ) -> None:
        super().__init__()
        self._path = os.fspath(path)
        self._format = _format_of(self._path)
        self._record_path = record_path(self._path)
        folder = os.path.dirname(self._path) or '.'
        if not os.path.isdir(folder):
            raise ValueError(
                f'path: expected a file in a folder that exists, got {self._path!r}. Create the '
                f'folder {folder!r}.'
            )
        self._monitor = monitor
        self._mode = checked_mode(monitor, mode)
        self.best = self._recorded_value()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Saves the model if this epoch is the best.

        Args:
            epoch: The number of the epoch, from 0.
            logs: The metrics of the epoch by name.

        Raises:
            ValueError: `monitor` is not among the metrics.
        """
        logs = logs or {}
        if self._monitor not in logs:
            raise ValueError(
                f'monitor: expected one of the metrics {sorted(logs)}, got {self._monitor!r}. Name '
                'one of them, or pass validation data.'
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
                f'path: expected the record of a best checkpoint in {self._record_path!r}, got '
                f'something else ({error!r}). Give another path, or move the file away.'
            ) from error
        if found != (self._monitor, self._mode):
            raise ValueError(
                f'monitor: expected {found[0]!r} (mode {found[1]!r}), whose best is recorded in '
                f'{self._record_path!r}, got {self._monitor!r} (mode {self._mode!r}). Monitor the '
                'same metric, or give another path.'
            )
        if not os.path.exists(self._path):
            logging.warning(
                '%s: the best model that it records is gone. The next epoch is saved as the best.',
                self._record_path,
            )
            return None
        return value


def record_path(path: str) -> str:
    """Returns the path of the JSON file beside a model: `best.json` for `best.keras`.

    Args:
        path: The path of the model.

    Raises:
        ValueError: `path` has an ending that `BestCheckpoint` does not write.
    """
    return path.removesuffix(_format_of(path)) + '.json'


def _format_of(path: str) -> str:
    found = next((end for end in _FORMATS if path.endswith(end)), None)
    if found is None:
        raise ValueError(
            f'path: expected a file that ends in one of {", ".join(_FORMATS)}, got {path!r}. '
            'Choose a format by the ending.'
        )
    return found
