"""Where the time of TFLite files goes, by kinds of XNNPACK's kernels.

    python benchmarks/xnnpack_profile.py ours.tflite yardstick.tflite --runs 200

Linux' `perf` samples the interpreter while it runs a file; the library of `ai-edge-litert` has the
names of its functions. A line of the table is a kind of kernel, without the variant for the
processor: `gemm` multiplies matrices (FULLY_CONNECTED, 1x1 CONV_2D), `igemm` are other
convolutions, `dwconv` depthwise ones, `vadd` an ADD or SUB of two tensors, `vaddc` one with a
single number, `lut` a table. Milliseconds are CPU time of a run, of all threads together. What is
less than `--least` percent of each file's time is added up.
"""

from __future__ import annotations

import collections
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from absl import app, flags
from ai_edge_litert.interpreter import Interpreter

_RUNS = flags.DEFINE_integer('runs', 200, 'Runs of each file.', lower_bound=1)
_THREADS = flags.DEFINE_integer('threads', 1, 'Threads of the interpreter.', lower_bound=1)
_LEAST = flags.DEFINE_float('least', 1.0, 'Smallest share of a line, in percent.', lower_bound=0.0)
_WARM_UP = 3
_SAMPLES_PER_SECOND = 5000
_KERNEL = re.compile(r'xnn_(\w+?)_ukernel')
_NANOSECONDS_PER_MILLISECOND = 1e6
_OTHER = 'other'


@contextmanager
def sampled(path: Path) -> Iterator[None]:
    """Samples this process, with all of its threads, while the block runs.

    Args:
        path: of the file that `perf` writes.

    Raises:
        RuntimeError: if `perf` does not start; it has printed why.
    """
    read_command, write_command = os.pipe()
    read_answer, write_answer = os.pipe()
    # Software ticks, as virtual machines often have no counters; and none before 'enable'.
    command = ['perf', 'record', '--quiet', '--event=cpu-clock:u', '--delay=-1']
    command += [f'--freq={_SAMPLES_PER_SECOND}', f'--output={path}', f'--pid={os.getpid()}']
    command += [f'--control=fd:{read_command},{write_answer}']
    process = subprocess.Popen(command, pass_fds=(read_command, write_answer))
    os.close(read_command)
    os.close(write_answer)

    def tell(order: bytes) -> None:
        os.write(write_command, order + b'\n')
        # Nothing is read where perf has ended.
        if not os.read(read_answer, 16):
            raise RuntimeError(f'perf: expected it to {order.decode()} sampling, but it has ended')

    try:
        tell(b'enable')
        yield
        tell(b'disable')
    finally:
        process.terminate()
        process.wait()
        os.close(write_command)
        os.close(read_answer)


def kind_of(function: str) -> str:
    """Returns the kind of kernel that a function is, or the function if it is none."""
    kernel = _KERNEL.match(function)
    return kernel.group(1) if kernel else function


def profile(path: Path) -> dict[str, float]:
    """Returns milliseconds of a run of a file, by kind of kernel."""
    interpreter = Interpreter(model_content=path.read_bytes(), num_threads=_THREADS.value)
    interpreter.allocate_tensors()
    for _ in range(_WARM_UP):
        interpreter.invoke()
    with tempfile.TemporaryDirectory() as folder:
        samples = Path(folder) / 'perf.data'
        with sampled(samples):
            for _ in range(_RUNS.value):
                interpreter.invoke()
        command = ['perf', 'script', f'--input={samples}', '--fields=period,ip,sym']
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    times: dict[str, float] = collections.defaultdict(float)
    for line in output.splitlines():
        nanoseconds, _, function = line.split(maxsplit=2)
        times[kind_of(function)] += float(nanoseconds) / _NANOSECONDS_PER_MILLISECOND / _RUNS.value
    return times


def print_table(profiles: list[dict[str, float]]) -> None:
    """Prints a line for each kind of kernel, and a pair of columns for each file."""
    totals = [sum(times.values()) for times in profiles]
    kinds = sorted(set().union(*profiles), key=lambda kind: -max(t.get(kind, 0) for t in profiles))
    lines: dict[str, list[float]] = {}
    others = [0.0] * len(profiles)
    for kind in kinds:
        figures = [times.get(kind, 0.0) for times in profiles]
        if any(100 * f >= _LEAST.value * total for f, total in zip(figures, totals, strict=True)):
            lines[kind] = figures
        else:
            others = [sum(pair) for pair in zip(others, figures, strict=True)]
    for name, figures in {**lines, _OTHER: others, 'all': totals}.items():
        cells = zip(figures, totals, strict=True)
        print(f'{name:44}' + ''.join(f'{f:9.3f} ms {f / total:6.1%}' for f, total in cells))


def main(argv: list[str]) -> None:
    """Prints the profile of each file."""
    if len(argv) < 2:
        raise app.UsageError('expected one or more TFLite files')
    if shutil.which('perf') is None:
        raise app.UsageError('expected `perf` on this machine; on Debian, install linux-perf')
    paths = [Path(text) for text in argv[1:]]
    profiles = [profile(path) for path in paths]
    for number, path in enumerate(paths, start=1):
        print(f'{number}: {path}')
    print_table(profiles)


if __name__ == '__main__':
    app.run(main)
