"""The folder of a training run: what was run, on what, and what came out."""

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
    """A folder that says how it came about, and in which nothing is overwritten unasked.

    `config.yaml` holds the configuration as run, `environment.json` one entry for each start of
    the run (versions, git revision, command, devices).

    Attributes:
        path: The folder.
        resumes: Whether it held a run already.

    Args:
        path: The folder; it is created if it is not there.
        resume: Whether to go on with a run in it. A folder without one is then started.
        name: What the caller calls the argument `path`, for errors.

    Raises:
        OSError: The folder cannot be written.
        ValueError: It holds a run, and `resume` is False.
    """

    def __init__(
        self, path: str | os.PathLike[str], resume: bool = False, name: str = 'path'
    ) -> None:
        self.path = Path(files.writable_folder(path, name))
        self.resumes = (self.path / _CONFIG).exists()
        if self.resumes and not resume:
            raise ValueError(
                f'{name}: expected a folder without a run, got {str(self.path)!r}. Pass --resume '
                'to go on with that run, or give another folder.'
            )

    def recorded_config(self) -> str | None:
        """Returns the text of the configuration of the run in the folder, None without one."""
        return (self.path / _CONFIG).read_text(encoding='utf-8') if self.resumes else None

    def begin(self, config: str, environment: Mapping[str, Any]) -> None:
        """Records a start of the run.

        Args:
            config: Text of the configuration; written if the folder holds no run yet.
            environment: What `describe_environment` returned.
        """
        starts = []
        path = self.path / _ENVIRONMENT
        if self.resumes and path.exists():
            starts = json.loads(path.read_text(encoding='utf-8'))
        text = json.dumps([*starts, dict(environment)], indent=2) + '\n'
        files.replace_text(str(path), text)
        # Last: with it the folder counts as a run.
        if not self.resumes:
            files.replace_text(str(self.path / _CONFIG), config)


def describe_environment(source: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns what a result may depend on besides its configuration.

    Args:
        source: A folder inside the git repository whose revision counts.

    Returns:
        Time, command, versions of Python and packages (None: not installed), git revision (None
        outside a repository; `+changes` if files differ from it), and devices.
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
    title: str, facts: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], monitor: str
) -> str:
    """Writes a page about a run.

    Args:
        title: Its heading.
        facts: What to say first, by name.
        rows: The metrics of the epochs, as `read_metrics` returns them.
        monitor: The metric whose best epoch is shown beside the last.

    Returns:
        Markdown.
    """
    lines = [f'# {title}', '', '| | |', '|---|---|']
    lines += [f'| {name} | {_cell(value)} |' for name, value in facts.items()]
    if rows:
        known = [row for row in rows if row.get(monitor) is not None] or list(rows)
        choose = min if 'loss' in monitor else max
        best = choose(known, key=lambda row: row.get(monitor) or 0.0)
        names = list(dict.fromkeys(name for row in (best, rows[-1]) for name in row))
        lines += ['', f'| | best epoch by {monitor} | last epoch |', '|---|---|---|']
        lines += [f'| {n} | {_cell(best.get(n))} | {_cell(rows[-1].get(n))} |' for n in names]
    return '\n'.join(lines) + '\n'


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
