"""Metrics of every epoch as JSON lines."""

from __future__ import annotations

import json
import math
import os
from typing import Any

import tf_keras as keras

from tf_n2uq.training import files


class MetricsLog(keras.callbacks.Callback):
    """Appends one JSON object to a file after each epoch.

    The object has the keys `epoch` (from 1), `learning_rate` (the base learning rate of the
    epoch's last step), and the epoch's metrics. A value that is not finite becomes null, because
    JSON cannot write it.

    Args:
        path: The file. It is created if it is not there.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__()
        self._path = os.fspath(path)

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Appends the epoch's line.

        Args:
            epoch: The number of the epoch, from 0.
            logs: The metrics of the epoch by name.
        """
        learning_rate = keras.backend.get_value(self.model.optimizer.learning_rate)
        values = {'learning_rate': learning_rate, **(logs or {})}
        row = {'epoch': epoch + 1, **{name: _number(value) for name, value in values.items()}}
        with open(self._path, 'a', encoding='utf-8') as file:
            file.write(json.dumps(row) + '\n')
            file.flush()
            os.fsync(file.fileno())


def read_metrics(path: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Reads the lines that `MetricsLog` wrote.

    Args:
        path: The file.

    Returns:
        One dictionary per epoch. A last line that a crash cut short is left out.

    Raises:
        ValueError: A line is not a JSON object with an integer `epoch`.
    """
    with open(path, encoding='utf-8') as file:
        lines = file.read().split('\n')
    # A line without a line break was not written to its end.
    return [_row(line, number, path) for number, line in enumerate(lines[:-1], start=1)]


def drop_epochs_after(path: str | os.PathLike[str], epoch: int) -> None:
    """Rewrites a file of metrics without later epochs and without a last line that is cut short.

    Args:
        path: The file.
        epoch: The last epoch that is kept, counted from 1.

    Raises:
        ValueError: A line is not a JSON object with an integer `epoch`.
    """
    rows = [row for row in read_metrics(path) if row['epoch'] <= epoch]
    files.replace_text(os.fspath(path), ''.join(json.dumps(row) + '\n' for row in rows))


def _number(value: Any) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None


def _row(line: str, number: int, path: str | os.PathLike[str]) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict) or not isinstance(row.get('epoch'), int):
        raise ValueError(
            f'path: expected a JSON object with an integer "epoch" in {os.fspath(path)!r}, line '
            f'{number}, got {line[:80]!r}. Remove the line, or give another file.'
        )
    return row
