"""How the benchmarks measure: functions in turns for time, fresh processes for memory."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np

_Name = TypeVar('_Name')


class Memory(NamedTuple):
    """What the resident set of a process peaks at, in bytes.

    Attributes:
        rise: by how much calls raised it above what was resident before them.
        total: of the process since it started.
    """

    rise: int
    total: int


def time_in_turns(
    functions: Mapping[_Name, Callable[[], object]], rounds: int, warm_up: int
) -> dict[_Name, np.ndarray]:
    """Times functions in turns, so that what else the machine does meets all of them.

    Args:
        functions: called once in each round, in this order.
        rounds: that are timed.
        warm_up: rounds before those.

    Returns:
        Wall seconds and CPU seconds (of all threads together) by function, `[rounds, 2]`.
    """
    samples: dict[_Name, list[tuple[float, float]]] = {name: [] for name in functions}
    for turn in range(warm_up + rounds):
        for name, function in functions.items():
            wall, cpu = time.perf_counter(), time.process_time()
            results = function()
            sample = time.perf_counter() - wall, time.process_time() - cpu
            # Freed before the next one allocates, and not within anyone's time.
            del results
            if turn >= warm_up:
                samples[name].append(sample)
    return {name: np.array(pairs) for name, pairs in samples.items()}


def memory_of_calls(function: Callable[[], object], calls: int) -> Memory:
    """Calls a function and returns what this process's resident set peaks at (Linux)."""
    peak_before = _resident_set('VmHWM')
    # Makes the kernel forget that peak: importing and building may have had the higher one.
    Path('/proc/self/clear_refs').write_text('5')
    before = _resident_set('VmRSS')
    for _ in range(calls):
        function()
    peak = _resident_set('VmHWM')
    return Memory(peak - before, max(peak, peak_before))


def _resident_set(entry: str) -> int:
    """Returns an entry of /proc/self/status in bytes: VmRSS is the present size, VmHWM the peak."""
    lines = Path('/proc/self/status').read_text().splitlines()
    values = dict(line.split(':', 1) for line in lines)
    return int(values[entry].split()[0]) * 1024


def memory_in_fresh_process(flag: str) -> Memory:
    """Runs this script once more, with a flag more, and reads the `Memory` that it prints.

    Not by `getrusage`: a process inherits the peak of the one that started it.
    """
    command = [sys.executable, *sys.argv, flag]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    rise, total = result.stdout.split()
    return Memory(int(rise), int(total))
