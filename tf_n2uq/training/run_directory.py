"""The folder of a training run, with its configuration, its environment and its summary."""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from tf_n2uq.training import files
from tf_n2uq.training.monitored_metric import checked_mode

_CONFIG = 'config.yaml'
_ENVIRONMENT = 'environment.json'
_PACKAGES = (
    'tf_n2uq',
    'tensorflow',
    'tf-keras',
    'tensorflow-model-optimization',
    'ai-edge-litert',
    'numpy',
    'torch',
)


class RunDirectory:
    """A folder that records how its run was made, and whose run is not overwritten unasked.

    `config.yaml` holds the configuration as run. `environment.json` holds one entry for each start
    of the run, with versions, git revision, command and devices.

    Attributes:
        path: The folder.
        resumes: Whether the folder held a run already.

    Args:
        path: The folder. It is created if it is not there.
        resume: Whether to go on with the run in the folder. Without a run in it, a run is started.
        name: The user's name of the argument `path`, for errors.

    Raises:
        OSError: The folder cannot be written.
        TypeError: `path` is not a path.
        ValueError: The folder holds a run, and `resume` is False.
    """

    def __init__(
        self, path: str | os.PathLike[str], resume: bool = False, name: str = 'path'
    ) -> None:
        self.path = Path(files.writable_folder(path, name))
        self.resumes = (self.path / _CONFIG).exists()
        if self.resumes and not resume:
            raise ValueError(
                f'{name}: expected a folder without a run, got {str(self.path)!r}. Pass '
                'resume=True (--resume) to go on with that run, or give another folder.'
            )

    def recorded_config(self) -> str | None:
        """Returns the configuration of the run in the folder as text, or None without a run."""
        return (self.path / _CONFIG).read_text(encoding='utf-8') if self.resumes else None

    def begin(self, config: str, environment: Mapping[str, Any]) -> None:
        """Records a start of the run.

        Args:
            config: The text of the configuration. It is written if the folder holds no run yet.
            environment: The dictionary from `describe_environment`.
        """
        starts = []
        path = self.path / _ENVIRONMENT
        if self.resumes and path.exists():
            starts = json.loads(path.read_text(encoding='utf-8'))
        text = json.dumps([*starts, dict(environment)], indent=2) + '\n'
        files.replace_text(str(path), text)
        # This file comes last, because with it the folder counts as a run.
        if not self.resumes:
            files.replace_text(str(self.path / _CONFIG), config)


def describe_environment(source: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the facts that a result may depend on besides its configuration.

    Args:
        source: A folder inside the git repository whose revision counts.

    Returns:
        Time, command, versions of Python and packages, git revision, and devices, by name. The
        version of a package that is not installed is None. The revision is None outside a
        repository, and ends in `+changes` if files differ from it.
    """
    return {
        'started': datetime.datetime.now(datetime.timezone.utc).isoformat(timespec='seconds'),
        'command': sys.argv,
        'python': platform.python_version(),
        'platform': platform.platform(),
        'packages': {name: _version(name) for name in _PACKAGES},
        'git_revision': _git_revision(source),
        'cpus': os.cpu_count(),
        'devices': [device.name for device in tf.config.list_physical_devices()],
    }


def run_summary(
    title: str,
    facts: Mapping[str, Any],
    rows: Sequence[Mapping[str, Any]],
    monitor: str,
    mode: str | None = None,
) -> str:
    """Writes a page about a run.

    Args:
        title: The heading of the page.
        facts: Facts about the run by name, which come first.
        rows: The metrics of the epochs, as `read_metrics` returns them.
        monitor: The metric whose best epoch is shown beside the last one.
        mode: 'max' or 'min', as for `BestCheckpoint`.

    Returns:
        The page in Markdown. Without an epoch that has a finite value of the metric, it shows the
        last epoch alone.

    Raises:
        ValueError: `monitor` is none of the metrics, or `mode` is as `BestCheckpoint` refuses it.
    """
    lines = [f'# {title}', '', '| | |', '|---|---|']
    lines += [f'| {name} | {_cell(value)} |' for name, value in facts.items()]
    if rows:
        columns = {'last epoch': rows[-1]}
        if (best := _best_row(rows, monitor, mode)) is not None:
            columns = {f'best epoch by {monitor}': best, **columns}
        names = list(dict.fromkeys(name for row in columns.values() for name in row))
        lines += ['', f'| | {" | ".join(columns)} |', '|---' * (1 + len(columns)) + '|']
        for name in names:
            cells = (_cell(row.get(name)) for row in columns.values())
            lines.append(f'| {name} | {" | ".join(cells)} |')
    return '\n'.join(lines) + '\n'


def _best_row(
    rows: Sequence[Mapping[str, Any]], monitor: str, mode: str | None
) -> Mapping[str, Any] | None:
    if not any(monitor in row for row in rows):
        raise ValueError(
            f'monitor: expected one of the metrics {sorted(rows[-1])}, got {monitor!r}. Name one '
            'of them.'
        )
    known = [row for row in rows if row.get(monitor) is not None]
    choose = min if checked_mode(monitor, mode) == 'min' else max
    return choose(known, key=lambda row: row[monitor], default=None)


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f'{value:.6g}'
    return '–' if value is None else str(value).replace('|', '\\|')


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git_revision(source: str | os.PathLike[str]) -> str | None:
    revision = _git(source, 'rev-parse', 'HEAD')
    if revision is None:
        return None
    changes = _git(source, 'status', '--porcelain', '--untracked-files=no')
    return revision + ('+changes' if changes else '')


def _git(source: str | os.PathLike[str], *arguments: str) -> str | None:
    try:
        result = subprocess.run(
            ['git', '-C', os.fspath(source), *arguments],
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip()
