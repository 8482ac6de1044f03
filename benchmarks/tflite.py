r"""Size, latency, memory and conversion time of TFLite files beside TFMOT's 8-bit ones.

    python benchmarks/tflite.py --networks resnet18:2,resnet18:4,mobilenet_v2:4 --work runs/files

Ours is the network that N2UQ publishes, calibrated on random images, and the same *as trained*:
with intervals between thresholds multiplied by exp(σ·N(0, 1)), σ being `--spread`, and biases
and slopes of RPReLUs that differ from channel to channel, since calibration leaves all of these
alike, and equal ones are cheaper. The other one is the float network of the same architecture
with ReLUs for RPReLUs, the same kernels and statistics, quantized to 8 bits by TFMOT and converted
by `tf.lite.TFLiteConverter`; where TFMOT refuses, by post-training quantization to int8.

Files are kept in `--work`, with the seconds of their conversion, and are not converted again. Ours
is `tf_n2uq.tflite.convert` with ranges from the images, as published networks train none; TFMOT's
is `quantize_apply`, a pass over the images that gives it ranges, and the converter. Building and
calibrating networks is in neither.

Files of one network take turns run by run; times are medians of the rounds, ratios medians of each
round's ratio. For memory see `tflite_memory.py`: it is measured in a process for each file.
"""

from __future__ import annotations

import os

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras
from absl import app, flags
from measuring import time_in_turns
from networks import float_network, quantized_network, random_images

import tf_n2uq
from tf_n2uq.layers import RPReLU
from tf_n2uq.tflite import make_interpreter

_NETWORKS = flags.DEFINE_list(
    'networks',
    ['resnet18:2', 'resnet18:4', 'resnet50:4', 'mobilenet_v2:4'],
    'Networks of `tf_n2uq.models.build` and their bit-widths.',
)
_WORK = flags.DEFINE_string('work', 'runs/tflite', 'Folder that keeps the files.')
_SPREAD = flags.DEFINE_float('spread', 0.3, 'σ of the logarithm of intervals.', lower_bound=0.0)
_IMAGE_SIZE = flags.DEFINE_integer('image_size', 224, 'Height and width.', lower_bound=32)
_THREADS = flags.DEFINE_list('threads', ['1', '2'], 'Numbers of threads to measure with.')
_ROUNDS = flags.DEFINE_integer('rounds', 30, 'Timed runs of each file.', lower_bound=1)
_WARM_UP = 3
# Spread of what RPReLUs learn, beside pre-activations of standard deviation 1.
_BIAS_SPREAD, _SLOPE_SPREAD = 0.2, 0.1
_REFERENCE = 'TFMOT 8 bits'


def make_images() -> np.ndarray:
    """Returns random images."""
    return random_images(_IMAGE_SIZE.value)


def with_relus(model: keras.Model) -> keras.Model:
    """Copies a float network with a ReLU wherever it has an RPReLU."""

    def copy(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, RPReLU):
            return keras.layers.ReLU(name=layer.name)
        return layer.__class__.from_config(layer.get_config())

    result = keras.models.clone_model(model, clone_function=copy)
    for layer in result.layers:
        if layer.weights:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    return result


def as_trained(model: keras.Model) -> keras.Model:
    """Moves what calibration leaves alike, in place, about as far as training does."""
    random = np.random.default_rng(1)
    for weight in model.weights:
        name = weight.name.split(':')[0].split('/')[-1]
        noise = random.standard_normal(weight.shape, np.float32)
        if name == 'intervals':
            weight.assign(weight * np.exp(_SPREAD.value * noise))
        elif name in ('bias_in', 'bias_out'):
            weight.assign(weight + _BIAS_SPREAD * noise)
        elif name == 'slope':
            weight.assign(weight + _SLOPE_SPREAD * noise)
    return model


def convert_with_tfmot(model: keras.Model, images: np.ndarray) -> bytes:
    """Quantizes a float network to 8 bits by TFMOT, with the ranges of the images, and converts."""
    quantized = tfmot.quantization.keras.quantize_apply(
        tfmot.quantization.keras.quantize_annotate_model(model)
    )
    quantized(images, training=True)
    converter = tf.lite.TFLiteConverter.from_keras_model(quantized)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return converter.convert()


def convert_after_training(model: keras.Model, images: np.ndarray) -> bytes:
    """Quantizes a float network to int8 as it is converted."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image[np.newaxis]] for image in images)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    return converter.convert()


def reference(name: str, images: np.ndarray) -> Callable[[], bytes]:
    """Returns what makes TFMOT's file, or says why it cannot."""
    model = with_relus(float_network(name, images))

    def make() -> bytes:
        try:
            return convert_with_tfmot(model, images)
        except (RuntimeError, ValueError) as error:
            print(f'{name}: TFMOT says {error}; quantized after training instead')
            return convert_after_training(model, images)

    return make


def make_file(path: Path, prepare: Callable[[], Callable[[], bytes]]) -> None:
    """Writes a file and, beside it, the seconds that it took, unless both are there."""
    seconds = path.with_suffix('.json')
    if seconds.exists():
        return
    convert = prepare()
    start = time.perf_counter()
    path.write_bytes(convert())
    seconds.write_text(json.dumps(time.perf_counter() - start))


def make_files(name: str, widths: list[int], folder: Path) -> dict[str, Path]:
    """Makes all files of a network, by the names of their lines of the table."""
    images = make_images()
    size = _IMAGE_SIZE.value
    files = {_REFERENCE: folder / f'{name}_{size}_tfmot.tflite'}
    make_file(files[_REFERENCE], lambda: reference(name, images))
    for bits in widths:
        for side, change in (('calibrated', lambda model: model), ('as trained', as_trained)):
            file = folder / f'{name}_{size}_{bits}_{side.replace(" ", "_")}.tflite'

            def prepare(
                bits: int = bits, change: Callable[[keras.Model], keras.Model] = change
            ) -> Callable[[], bytes]:
                model = change(quantized_network(name, bits, images))
                return lambda: tf_n2uq.tflite.convert(model, representative_dataset=images)

            make_file(file, prepare)
            files[f'{bits} bits, {side}'] = file
    return files


def latencies(files: dict[str, Path], threads: int) -> dict[str, np.ndarray]:
    """Runs files in turns; returns wall seconds of each run, `[rounds]`."""
    runs = {}
    for side, path in files.items():
        interpreter = make_interpreter(path.read_bytes(), threads)
        interpreter.allocate_tensors()
        runs[side] = interpreter.invoke
    samples = time_in_turns(runs, _ROUNDS.value, _WARM_UP)
    return {side: each[:, 0] for side, each in samples.items()}


def memory_of(path: Path) -> int:
    """Returns by how many bytes running a file raises the peak of a fresh process."""
    script = Path(__file__).with_name('tflite_memory.py')
    command = [sys.executable, str(script), str(path)]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(result.stdout.split()[0])


def columns(files: dict[str, Path]) -> dict[str, dict[str, tuple[float, float]]]:
    """Returns figures and their ratios to TFMOT's, by column and line."""
    table: dict[str, dict[str, tuple[float, float]]] = {}

    def add(column: str, figures: dict[str, float]) -> None:
        table[column] = {side: (v, v / figures[_REFERENCE]) for side, v in figures.items()}

    add('file MB', {side: path.stat().st_size / 1e6 for side, path in files.items()})
    for threads in map(int, _THREADS.value):
        samples = latencies(files, threads)
        table[f'ms, {threads} thr.'] = {
            side: (1e3 * float(np.median(runs)), float(np.median(runs / samples[_REFERENCE])))
            for side, runs in samples.items()
        }
    add('memory MB', {side: memory_of(path) / 1e6 for side, path in files.items()})
    convert = {
        side: json.loads(path.with_suffix('.json').read_text()) for side, path in files.items()
    }
    add('convert s', convert)
    return table


def print_table(name: str, files: dict[str, Path]) -> None:
    """Prints a line for each file of a network."""
    table = columns(files)
    print(f'{name}, {_IMAGE_SIZE.value}², load {os.getloadavg()[0]:.1f}')
    print(
        f'{"":22}' + ''.join(f'{column:>12}{"ratio":>7}' for column in table) + f'{"operators":>11}'
    )
    for side, path in files.items():
        cells = ''.join(f'{v:12.2f}{r:7.2f}' for v, r in (table[c][side] for c in table))
        operators = sum(tf_n2uq.tflite.inspect(path.read_bytes()).operators.values())
        print(f'{side:22}{cells}{operators:11}')
    print()


def main(argv: list[str]) -> None:
    """Runs the benchmark."""
    if len(argv) > 1:
        raise app.UsageError(f'unexpected arguments {argv[1:]}; options start with --')
    widths: dict[str, list[int]] = {}
    for text in _NETWORKS.value:
        name, _, bits = text.partition(':')
        if not bits.isdigit():
            raise app.UsageError(f'--networks: expected name:bits, got {text!r}')
        widths.setdefault(name, []).append(int(bits))
    folder = Path(_WORK.value)
    folder.mkdir(parents=True, exist_ok=True)
    for name, bits in widths.items():
        print_table(name, make_files(name, bits, folder))


if __name__ == '__main__':
    app.run(main)
