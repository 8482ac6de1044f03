"""How long a TFLite file takes on this machine."""

import dataclasses
import time

import numpy as np

from tf_n2uq.tflite.running.interpreter import make_interpreter

_WARM_UP = 3


@dataclasses.dataclass(frozen=True)
class Latency:
    """What `benchmark` measured.

    Attributes:
        runs: How many runs were timed.
        num_threads: Threads that computed.
        median_ms: Milliseconds that half of the runs stayed below.
        fastest_ms: Milliseconds of the fastest run: the least disturbed by other programs.
        slowest_ms: Milliseconds of the slowest run.
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
    """Times a TFLite file, as the interpreter runs it on this machine.

    Args:
        content: The file's bytes.
        num_threads: Threads to compute with.
        runs: How many runs to time, of one batch of the file's size; a few go before them.

    Returns:
        The latency of a run.

    Raises:
        TypeError: `content` is not bytes.
        ValueError: `content` is not a TFLite file, or `num_threads` or `runs` is not positive.
    """
    if runs < 1:
        raise ValueError(f'`runs` must be at least 1, got {runs}.')
    interpreter = make_interpreter(content, num_threads)
    interpreter.allocate_tensors()
    for details in interpreter.get_input_details():
        interpreter.set_tensor(details['index'], np.zeros(details['shape'], details['dtype']))
    for _ in range(_WARM_UP):
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
