r"""Time and memory of the quantizers beside TensorFlow's fake quantization.

    python benchmarks/quantizer_op.py --bits 2,3,4 --values 1600000 --runs 31

N2UQ's activation quantizer at each bit-width, and those of the other methods at 4, where their cost
does not depend on it. Forward and backward pass of one tensor in a `tf.function`. Times are medians
of runs that take turns within one process; ratios are to
`tf.quantization.fake_quant_with_min_max_vars` with all its gradients. CPU time is of all threads
together: unlike wall time it hardly depends on what else the machine does. Memory is how far the
resident set of a fresh process rises during its first ten runs, compilation included, above what
TensorFlow, the graph and the inputs take (Linux).
"""

from __future__ import annotations

import os

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

import functools
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from absl import app, flags
from measuring import Memory, memory_in_fresh_process, memory_of_calls, time_in_turns

from tf_n2uq import ops
from tf_n2uq.quantizers import check_bits

_BITS = flags.DEFINE_list(
    'bits', ['2', '3', '4'], 'Bit-widths of learnable_threshold, separated by commas.'
)
_VALUES = flags.DEFINE_integer('values', 1_600_000, 'Values of the tensor.', lower_bound=1)
_RUNS = flags.DEFINE_integer('runs', 31, 'Timed runs of each.', lower_bound=1)
_THREADS = flags.DEFINE_integer('threads', 2, 'TensorFlow threads.', lower_bound=1)
_MEMORY_OF = flags.DEFINE_string(
    'memory_of', None, 'Print only the memory of one line of the table, in bytes.'
)
_REFERENCE = 'fake_quant'
_LEARNED = 'learnable_threshold'
_WARM_UP = 5
_MEMORY_RUNS = 10


def forward_and_backward(
    quantize: Callable[..., tf.Tensor], parameters: list[tf.Tensor]
) -> Callable[[tf.Tensor, tf.Tensor], tuple[tf.Tensor, ...]]:
    """Returns a compiled function of the input and the upstream gradient.

    Args:
        quantize: Called with a tensor and the parameters.
        parameters: What gradients are taken of, beside the input.

    Returns:
        The function; it gives the output and all gradients.
    """

    @tf.function(autograph=False)
    def run(x: tf.Tensor, dy: tf.Tensor) -> tuple[tf.Tensor, ...]:
        with tf.GradientTape() as tape:
            tape.watch([x, *parameters])
            y = quantize(x, *parameters)
        return (y, *tape.gradient(y, [x, *parameters], dy))

    return run


def subject(name: str) -> Callable[[tf.Tensor, tf.Tensor], Any]:
    """Returns the quantizer of a line of the table, with published start values."""
    if name in _METHODS:
        function, starts = _METHODS[name]
        return forward_and_backward(function, [tf.constant(start) for start in starts])
    n = 2 ** int(name.split()[1]) - 1
    parameters = [tf.zeros([1]), tf.fill([n], 2 / n), tf.ones([1]), tf.ones([1])]
    return forward_and_backward(ops.learnable_threshold, parameters)


def _pact(x: tf.Tensor, clip_value: tf.Tensor) -> tf.Tensor:
    return ops.pact(x, clip_value, 4, 'paper')


def _calibrated_pact(x: tf.Tensor, clip_value: tf.Tensor) -> tf.Tensor:
    return ops.pact(x, clip_value, 4, 'calibrated')


def _lsq(x: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
    return ops.lsq(x, step, -8.0, 7.0)


def _dorefa(kernel: tf.Tensor) -> tf.Tensor:
    return ops.dorefa(kernel, 4)


# Function and start values; tensors may not be made before TensorFlow has its threads.
_METHODS: dict[str, tuple[Callable[..., tf.Tensor], list[float]]] = {
    _REFERENCE: (tf.quantization.fake_quant_with_min_max_vars, [-6.0, 6.0]),
    'pact': (_pact, [2.0]),
    'calibrated pact': (_calibrated_pact, [2.0]),
    'lsq': (_lsq, [0.3]),
    'dorefa': (_dorefa, []),
}


def make_inputs(values: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns an input and an upstream gradient, standard normal."""
    generator = np.random.default_rng(0)
    x, dy = (generator.standard_normal(values, np.float32) for _ in range(2))
    return tf.constant(x), tf.constant(dy)


def measure_memory(name: str, x: tf.Tensor, dy: tf.Tensor) -> Memory:
    """Returns what the resident set of this process peaks at when a quantizer runs."""
    run = subject(name)
    # The graph and the threads, but not the memory: of one value.
    run(x[:1], dy[:1])
    return memory_of_calls(lambda: run(x, dy), _MEMORY_RUNS)


def print_table(times: dict[str, np.ndarray], memory: dict[str, Memory]) -> None:
    """Prints a line for each side."""
    medians = {name: np.median(samples, axis=0) for name, samples in times.items()}
    wall_reference, cpu_reference = medians[_REFERENCE]
    print(f'forward + backward, {_VALUES.value:,} float32 values, {_THREADS.value} threads')
    print(f'{"":22}{"wall ms":>9}{"ratio":>7}{"CPU ms":>9}{"ratio":>7}{"peak MB":>9}{"tensors":>9}')
    for name, (wall, cpu) in medians.items():
        print(
            f'{name:22}{wall * 1e3:9.2f}{wall / wall_reference:7.2f}'
            f'{cpu * 1e3:9.2f}{cpu / cpu_reference:7.2f}'
            f'{memory[name].rise / 1e6:9.1f}{memory[name].rise / (4 * _VALUES.value):9.1f}'
        )


def main(argv: list[str]) -> None:
    """Runs the benchmark."""
    if len(argv) > 1:
        raise app.UsageError(f'unexpected arguments {argv[1:]}; options start with --')
    tf.config.threading.set_intra_op_parallelism_threads(_THREADS.value)
    tf.config.threading.set_inter_op_parallelism_threads(_THREADS.value)
    x, dy = make_inputs(_VALUES.value)
    if _MEMORY_OF.value is not None:
        print(*measure_memory(_MEMORY_OF.value, x, dy))
        return
    try:
        widths = [check_bits(int(text), '--bits') for text in _BITS.value]
    except ValueError as error:
        raise app.UsageError(f'--bits: expected integers from 2 to 8 ({error})') from None
    sides = [*_METHODS, *(f'{_LEARNED} {bits}' for bits in widths)]
    memory = {name: memory_in_fresh_process(f'--memory_of={name}') for name in sides}
    runs = {name: functools.partial(subject(name), x, dy) for name in sides}
    print_table(time_in_turns(runs, _RUNS.value, _WARM_UP), memory)


if __name__ == '__main__':
    app.run(main)
