r"""Time and memory of a training step of quantized networks beside the float network.

    python benchmarks/training_step.py --network resnet18 --bits 2,4 --batch 8 --rounds 15

A step is forward pass, cross-entropy, backward pass and Adam on one batch of random images, by
`compile` and `train_on_batch`. Quantized networks are calibrated on those images. The float network
is what `build` gives, so it has the same RPReLUs; with `--relu` a line more is it with ReLUs
in their place.

All networks take turns step by step within one process: times are medians of the rounds, ratios
medians of each round's ratio to float. CPU time is of all threads together: unlike wall time it
hardly depends on what else the machine does. Memory is that of a fresh process for each network
(Linux), compilation included, calibration left out: the peak of its resident set, and how far ten
steps raise it above what TensorFlow, the network and the images take before the first.
"""

from __future__ import annotations

import os

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tf_keras as keras
from absl import app, flags
from measuring import Memory, memory_in_fresh_process, memory_of_calls, time_in_turns

import tf_n2uq
from tf_n2uq.layers import RPReLU
from tf_n2uq.quantizers import check_bits

_NETWORK = flags.DEFINE_string('network', 'resnet18', 'A network of `tf_n2uq.models.build`.')
_BITS = flags.DEFINE_list('bits', ['2', '4'], 'Bit-widths, separated by commas.')
_RELU = flags.DEFINE_bool('relu', False, 'Also measure the float network without RPReLUs.')
_BATCH = flags.DEFINE_integer('batch', 8, 'Images of a step.', lower_bound=1)
_IMAGE_SIZE = flags.DEFINE_integer('image_size', 224, 'Height and width.', lower_bound=1)
_CLASSES = flags.DEFINE_integer('classes', 1000, 'Number of classes.', lower_bound=1)
_ROUNDS = flags.DEFINE_integer('rounds', 15, 'Timed steps of each network.', lower_bound=1)
_THREADS = flags.DEFINE_integer('threads', 2, 'TensorFlow threads.', lower_bound=1)
_MEMORY_OF = flags.DEFINE_string(
    'memory_of', None, 'Print only the memory of one line of the table, in bytes.'
)
_FLOAT, _FLOAT_RELU, _SUFFIX = 'float', 'float, ReLU', ' bits'
_WARM_UP = 3
_MEMORY_STEPS = 10
_Batch = tuple[tf.Tensor, tf.Tensor]


def make_batch() -> _Batch:
    """Returns random images, standard normal as normalized photographs are, and their labels."""
    random = np.random.default_rng(0)
    shape = (_BATCH.value, _IMAGE_SIZE.value, _IMAGE_SIZE.value, 3)
    images = random.standard_normal(shape, np.float32)
    return tf.constant(images), tf.constant(random.integers(_CLASSES.value, size=_BATCH.value))


def build(side: str) -> keras.Model:
    """Returns the network of a line of the table, with fresh weights."""
    shape = (_IMAGE_SIZE.value, _IMAGE_SIZE.value, 3)
    model = tf_n2uq.models.build(
        _NETWORK.value, bits_of(side), input_shape=shape, classes=_CLASSES.value
    )
    return with_relus(model) if side == _FLOAT_RELU else model


def bits_of(side: str) -> int | None:
    """Returns the bit-width of a line of the table, None if it is in float."""
    return None if side in (_FLOAT, _FLOAT_RELU) else int(side.removesuffix(_SUFFIX))


def with_relus(model: keras.Model) -> keras.Model:
    """Copies a float network with a ReLU wherever it has an RPReLU."""

    def copy(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, RPReLU):
            return keras.layers.ReLU(name=layer.name)
        return layer.__class__.from_config(layer.get_config())

    return keras.models.clone_model(model, clone_function=copy)


def training_step(model: keras.Model, batch: _Batch) -> Callable[[], object]:
    """Returns a function that trains a model on a batch once."""
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(), loss)
    return lambda: model.train_on_batch(*batch)


def calibrated_step(side: str, batch: _Batch) -> Callable[[], object]:
    """Returns the training step of a line of the table, calibrated if it is a quantized one."""
    model = build(side)
    if bits_of(side) is not None:
        tf_n2uq.calibrate(model, batch[0], verbose=0)
    return training_step(model, batch)


def print_table(times: dict[str, np.ndarray], memory: dict[str, Memory]) -> None:
    """Prints a line for each network; ratios are to the float one."""
    print(
        f'{_NETWORK.value}, one training step, {_BATCH.value} images of {_IMAGE_SIZE.value}²; '
        f'{_THREADS.value} threads, load {os.getloadavg()[0]:.1f}'
    )
    columns = 'wall ms', 'CPU ms', 'peak MB', 'above MB'
    print(f'{"":12}' + ''.join(f'{column:>10}{"ratio":>7}' for column in columns))
    for side, samples in times.items():
        of_times = np.median(samples, axis=0) * 1e3
        time_ratios = np.median(samples / times[_FLOAT], axis=0)
        of_memory = np.array([memory[side].total, memory[side].rise]) / 1e6
        reference = np.array([memory[_FLOAT].total, memory[_FLOAT].rise]) / 1e6
        values = [*of_times, *of_memory]
        ratios = [*time_ratios, *(of_memory / reference)]
        cells = (f'{v:10.0f}{r:7.2f}' for v, r in zip(values, ratios, strict=True))
        print(f'{side:12}' + ''.join(cells))


def main(argv: list[str]) -> None:
    """Runs the benchmark."""
    if len(argv) > 1:
        raise app.UsageError(f'unexpected arguments {argv[1:]}; options start with --')
    tf.config.threading.set_intra_op_parallelism_threads(_THREADS.value)
    tf.config.threading.set_inter_op_parallelism_threads(_THREADS.value)
    if _MEMORY_OF.value is not None:
        step = training_step(build(_MEMORY_OF.value), make_batch())
        print(*memory_of_calls(step, _MEMORY_STEPS))
        return
    try:
        widths = [check_bits(int(text), '--bits') for text in _BITS.value]
    except ValueError as error:
        raise app.UsageError(f'--bits: expected integers from 2 to 8 ({error})') from None
    in_float = [_FLOAT, _FLOAT_RELU] if _RELU.value else [_FLOAT]
    sides = [*in_float, *(f'{bits}{_SUFFIX}' for bits in widths)]
    memory = {side: memory_in_fresh_process(f'--memory_of={side}') for side in sides}
    batch = make_batch()
    steps = {side: calibrated_step(side, batch) for side in sides}
    print_table(time_in_turns(steps, _ROUNDS.value, _WARM_UP), memory)


if __name__ == '__main__':
    app.run(main)
