r"""Time of importing tf_n2uq beside importing the packages that it stands on.

    python benchmarks/import_time.py --rounds 9 --modules 10

Each import runs in a fresh process, and three kinds of process take turns. The first kind imports
TensorFlow, tf_keras and TensorFlow Model Optimization. The second kind imports tf_n2uq, which
imports these three. The third kind imports the three without being timed, and then tf_n2uq.

The table has medians of wall time and CPU time, and the medians of difference and ratio between the
first two processes of each round. CPU time is of all threads together. Unlike wall time it hardly
depends on other work of the machine. The list below the table has the slowest modules of the third
kind as `python -X importtime` tells, without the modules that each of them imports.

Python keeps compiled modules beside the sources, as it does for every user. The first round
compiles them and does not count.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys

import numpy as np
from absl import app, flags

_ROUNDS = flags.DEFINE_integer('rounds', 9, 'Timed processes of each kind.', lower_bound=1)
_MODULES = flags.DEFINE_integer('modules', 10, 'Slowest modules to list.', lower_bound=0)
_PACKAGES = 'tensorflow, tf_keras, tensorflow_model_optimization'
_LIMIT = 0.3
_TIMED = """
import time
wall, cpu = time.perf_counter(), time.process_time()
import {modules}
print(time.perf_counter() - wall, time.process_time() - cpu)
"""
_LINE = re.compile(r'import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)')


def run(code: str, *options: str) -> subprocess.CompletedProcess[str]:
    """Runs code in a fresh Python that keeps compiled modules.

    Raises:
        RuntimeError: The code fails.
    """
    environment = {k: v for k, v in os.environ.items() if k != 'PYTHONDONTWRITEBYTECODE'}
    environment.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')
    command = [sys.executable, *options, '-c', code]
    result = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f'The import failed: {result.stderr[-2000:]}')
    return result


def seconds(before: str, modules: str) -> np.ndarray:
    """Imports modules in a fresh process.

    Args:
        before: A statement that is run before, without being timed.
        modules: The names of the modules, separated by commas.

    Returns:
        Wall and CPU seconds of the import, `[2]`.
    """
    output = run(before + _TIMED.format(modules=modules)).stdout
    return np.array(output.split()[-2:], np.float64)


def measure(rounds: int) -> dict[str, np.ndarray]:
    """Returns wall and CPU seconds of each kind of process, `[rounds, 2]`, taken in turns."""
    kinds = {
        'packages': ('', _PACKAGES),
        'tf_n2uq': ('', 'tf_n2uq'),
        'tf_n2uq after packages': (f'import {_PACKAGES}', 'tf_n2uq'),
    }
    samples: dict[str, list[np.ndarray]] = {name: [] for name in kinds}
    for turn in range(1 + rounds):
        for name, (before, modules) in kinds.items():
            sample = seconds(before, modules)
            if turn:
                samples[name].append(sample)
    return {name: np.array(pairs) for name, pairs in samples.items()}


def slowest_modules(count: int) -> list[tuple[str, float]]:
    """Returns the modules that take longest once the packages are there, with milliseconds."""
    errors = run(f'import {_PACKAGES}; import tf_n2uq', '-X', 'importtime').stderr
    lines = [
        (match[2], int(match[1]) / 1e3) for match in map(_LINE.match, errors.split('\n')) if match
    ]
    # A module's line comes when its import ends, so that the last package's line ends theirs.
    last = max(i for i, (name, _) in enumerate(lines) if name in _PACKAGES.split(', '))
    return sorted(lines[last + 1 :], key=lambda line: -line[1])[:count]


def main(arguments: list[str]) -> None:
    """Prints the table and the slowest modules."""
    if len(arguments) > 1:
        raise app.UsageError(f'Expected no arguments but flags, got {arguments[1:]}.')
    samples = measure(_ROUNDS.value)
    print(f'{"":24}{"wall":>9}{"CPU":>9}')
    for name, pairs in samples.items():
        wall, cpu = np.median(pairs, axis=0)
        print(f'{name:24}{wall:7.3f} s{cpu:7.3f} s')
    packages, whole = samples['packages'], samples['tf_n2uq']
    wall, cpu = np.median(whole - packages, axis=0)
    print(f'{"tf_n2uq − packages":24}{wall:7.3f} s{cpu:7.3f} s')
    wall, cpu = np.median(whole / packages, axis=0)
    print(f'{"tf_n2uq / packages":24}{wall:7.3f}  {cpu:7.3f}')
    print(f'medians of {_ROUNDS.value} rounds; at most {_LIMIT} s more are allowed')
    for name, milliseconds in slowest_modules(_MODULES.value):
        print(f'{milliseconds:8.1f} ms  {name}')


if __name__ == '__main__':
    app.run(main)
