"""What the operators that a quantized network is lowered to take in XNNPACK, on one thread.

    python benchmarks/xnnpack_operators.py

First the operators of a quantizer, per value of the tensor: of files with one and with nine of the
same operator in a row, the median difference of runs in turns, by eight. Of operators of one number
XNNPACK makes a single table: eight of them are counted as one. Then the matrix products of
ResNet-18's 3x3 convolutions with kernels of the same integers, -2..1, stored as INT8, INT4 and
INT2: medians of the rounds' ratios to INT4.
"""

from __future__ import annotations

import os

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from absl import app, flags, logging
from measuring import time_in_turns

from tf_n2uq.tflite import make_interpreter
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.builder import Builder
from tf_n2uq.tflite.passes.narrow_types import INT2, INT4, NarrowType
from tf_n2uq.tflite.passes.packing import store

_ROUNDS = flags.DEFINE_integer('rounds', 61, 'Timed runs of each file.', lower_bound=1)
_SHAPE = (1, 112, 112, 96)
_MORE, _WARM_UP = 8, 5
# Side and channels of the images in ResNet-18's stages at 224².
_PRODUCTS = ((56, 64), (28, 128), (14, 256), (7, 512))
_SCALE = 0.05


def fake_quant(x: tf.Tensor, scale: float = _SCALE) -> tf.Tensor:
    """Makes a tensor int8 in the file."""
    return tf.quantization.fake_quant_with_min_max_vars(x, -128 * scale, 127 * scale)


def kernel_of(values: np.ndarray) -> tf.Tensor:
    """Makes a kernel of integers an int8 one with a scale per output channel."""
    bound = tf.fill([values.shape[-1]], 127 * 0.01)
    return tf.quantization.fake_quant_with_min_max_vars_per_channel(
        tf.constant(values * 0.01, tf.float32), -bound, bound, 8, narrow_range=True
    )


def convert(function: Callable[[tf.Tensor], tf.Tensor], shape: tuple[int, ...]) -> bytes:
    """Converts a function of one tensor."""
    concrete = tf.function(function).get_concrete_function(tf.TensorSpec(shape, tf.float32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete], tf.Module())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


def per_channel(number: int) -> tf.Tensor:
    """Returns a constant that is another for each channel and number."""
    values = np.random.default_rng(number).integers(-20, 20, _SHAPE[-1])
    return fake_quant(tf.constant(values * _SCALE, tf.float32))


def subtracted(x: tf.Tensor, start: tf.Tensor, number: int) -> tf.Tensor:
    """A comparator's SUB."""
    del start
    return fake_quant(x - per_channel(number), _SCALE * (1 + number % 2))


def added(x: tf.Tensor, start: tf.Tensor, number: int) -> tf.Tensor:
    """The ADD that sums comparators up."""
    return fake_quant(x + start, _SCALE * (2 - number % 2))


def convolved(x: tf.Tensor, start: tf.Tensor, number: int) -> tf.Tensor:
    """A ramp's 1x1 DEPTHWISE_CONV_2D."""
    del start
    values = np.random.default_rng(number).integers(20, 90, (1, 1, _SHAPE[-1]))
    # The channel's axis is the last one that the kernel has before it gets one for multipliers.
    kernel = tf.reshape(kernel_of(values), [1, 1, _SHAPE[-1], 1])
    return fake_quant(tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], 'SAME'))


def moved(x: tf.Tensor, start: tf.Tensor, number: int) -> tf.Tensor:
    """A SUB of one number, as where thresholds are the same in all channels."""
    del start
    return fake_quant(x - fake_quant(tf.constant((number + 1) * _SCALE)), _SCALE * (1 + number % 2))


def steps_in_a_row(steps: Sequence[Callable[[tf.Tensor, tf.Tensor, int], tf.Tensor]]) -> bytes:
    """Returns a file that does so many steps; each is told what the first one starts from."""

    def function(x: tf.Tensor) -> tf.Tensor:
        start = x = fake_quant(x)
        for number, step in enumerate(steps):
            x = step(x, start, number)
        return x

    return convert(function, _SHAPE)


def matrix_product(side: int, channels: int) -> bytes:
    """Returns a file with a 3x3 convolution's product, as CONV_2D with an int8 kernel."""
    values = np.random.default_rng(0).integers(-2, 2, (1, 1, 9 * channels, channels))

    def function(x: tf.Tensor) -> tf.Tensor:
        product = tf.nn.conv2d(fake_quant(x), kernel_of(values), 1, 'SAME')
        return fake_quant(product, 10 * _SCALE)

    return convert(function, (1, side, side, 9 * channels))


def narrowed(content: bytes, narrow: NarrowType) -> bytes:
    """Returns such a file with FULLY_CONNECTED and a kernel of few bits, as the export makes it."""
    model = flatbuffer.read(content)
    graph = flatbuffer.main_graph(model)
    (convolution,) = (
        each for each in graph.operators if flatbuffer.operator_name(model, each) == 'CONV_2D'
    )
    kernel = graph.tensors[convolution.inputs[1]]
    values = np.frombuffer(flatbuffer.buffer_bytes(model, kernel), np.int8)
    store(model, kernel, values.reshape(kernel.shape[0], -1), narrow)
    run: list[Any] = []
    Builder(model, graph, 'product').fully_connected(run, convolution, int(convolution.inputs[0]))
    flatbuffer.replace_operators(graph, {id(convolution): run})
    return flatbuffer.write(model)


def prepared(content: bytes) -> Any:
    """Returns an interpreter of one thread that has random values as its input."""
    interpreter = make_interpreter(content, 1)
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()[0]
    values = np.random.default_rng(0).integers(-128, 128, details['shape']).astype(np.int8)
    interpreter.set_tensor(details['index'], values)
    return interpreter


def seconds_in_turns(interpreters: dict[str, Any]) -> dict[str, np.ndarray]:
    """Returns the wall seconds of each run, `[rounds]`."""
    runs = {name: interpreter.invoke for name, interpreter in interpreters.items()}
    return {name: s[:, 0] for name, s in time_in_turns(runs, _ROUNDS.value, _WARM_UP).items()}


def output_of(interpreter: Any) -> np.ndarray:
    """Returns what a run has put out."""
    return interpreter.get_tensor(interpreter.get_output_details()[0]['index'])


def print_steps() -> None:
    """Prints what the operators of a quantizer take."""
    print(f'{"operator":42}{"ps per value":>14}')
    for name, first, more, count in (
        ('SUB of a constant per channel', subtracted, subtracted, _MORE),
        ('ADD of two tensors', added, added, _MORE),
        ('1x1 DEPTHWISE_CONV_2D', convolved, convolved, _MORE),
        ('eight SUBs of one number, together', subtracted, moved, 1),
    ):
        files = {'one': steps_in_a_row([first]), 'more': steps_in_a_row([first] + _MORE * [more])}
        times = seconds_in_turns({side: prepared(content) for side, content in files.items()})
        difference = float(np.median(times['more'] - times['one'])) / count
        print(f'{name:42}{1e12 * difference / np.prod(_SHAPE):14.0f}')


def print_products() -> None:
    """Prints how kernels of different types compare."""
    print(f'\n{"product":42}{"INT4, ms":>14}{"INT8 / INT4":>14}{"INT2 / INT4":>14}')
    for side, channels in _PRODUCTS:
        int8 = matrix_product(side, channels)
        files = {'int8': int8, 'int4': narrowed(int8, INT4), 'int2': narrowed(int8, INT2)}
        interpreters = {kind: prepared(content) for kind, content in files.items()}
        times = seconds_in_turns(interpreters)
        for kind in ('int8', 'int2'):
            np.testing.assert_array_equal(
                output_of(interpreters[kind]), output_of(interpreters['int4'])
            )
        ratios = [np.median(times[name] / times['int4']) for name in ('int8', 'int2')]
        name = f'[{side * side}, {9 * channels}] x [{9 * channels}, {channels}]'
        cells = ''.join(f'{ratio:14.2f}' for ratio in ratios)
        print(f'{name:42}{1e3 * np.median(times["int4"]):14.2f}{cells}')


def main(argv: list[str]) -> None:
    """Runs the benchmark."""
    if len(argv) > 1:
        raise app.UsageError(f'unexpected arguments {argv[1:]}; options start with --')
    print_steps()
    print_products()


if __name__ == '__main__':
    logging.set_verbosity(logging.WARNING)
    app.run(main)
