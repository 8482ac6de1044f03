"""The time that a TFLite file takes on this machine."""

import dataclasses
import time

import numpy as np

from tf_n2uq.tflite.running.interpreter import make_interpreter

# The number of runs before the first one that is timed.
_WARM_UP_RUNS = 3


@dataclasses.dataclass(frozen=True)
class Latency:
    """The result of `benchmark`.

    Attributes:
        runs: The number of timed runs.
        num_threads: The number of threads that computed.
        median_ms: The median time of a run, in milliseconds.
        fastest_ms: The time of the fastest run, in milliseconds. Other programs disturb this run
            the least.
        slowest_ms: The time of the slowest run, in milliseconds.
    """

    runs: int
    num_threads: int
    median_ms: float
    fastest_ms: float
    slowest_ms: float

    def __str__(self) -> str:
        threads = f'{self.num_threads} thread{"" if self.num_threads == 1 else "s"}'
        return (
            f'{self.median_ms:.3f} ms (median of {self.runs} runs on {threads}; fastest '
            f'{self.fastest_ms:.3f}, slowest {self.slowest_ms:.3f})'
        )


def benchmark(content: bytes, num_threads: int = 1, runs: int = 50) -> Latency:
    """Measures the time that the interpreter takes for a TFLite file on this machine.

    Args:
        content: The bytes of the file.
        num_threads: The number of threads that compute.
        runs: The number of timed runs, each of one batch of the file's size. A few other runs go
            before them.

    Returns:
        The times of the runs.

    Raises:
        TypeError: If `content` is not bytes.
        ValueError: If `content` is not a TFLite file, or `num_threads` or `runs` is not positive.
    """
    if runs < 1:
        raise ValueError(
            f'runs: expected at least 1, got {runs}. The default of 50 gives a steady median.'
        )
    interpreter = make_interpreter(content, num_threads)
    interpreter.allocate_tensors()
    for details in interpreter.get_input_details():
        interpreter.set_tensor(details['index'], np.zeros(details['shape'], details['dtype']))
    for _ in range(_WARM_UP_RUNS):
        interpreter.invoke()
    milliseconds = np.zeros(runs)
    for run in range(runs):
        start = time.perf_counter()
        interpreter.invoke()
        milliseconds[run] = 1e3 * (time.perf_counter() - start)
    return Latency(
        runs=runs,
        num_threads=num_threads,
        median_ms=float(np.median(milliseconds)),
        fastest_ms=float(milliseconds.min()),
        slowest_ms=float(milliseconds.max()),
    )
