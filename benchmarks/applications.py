r"""Networks of `tf_keras.applications`, all the way to an integer file.

    python benchmarks/applications.py --bits 2,4 --networks MobileNetV2,EfficientNetB0

Each network has random weights, 96×96 images and 10 classes. It is trained for a few steps in
float, annotated, quantized, calibrated, trained for a step, saved, loaded, converted and run by
LiteRT. There is a line for each: what the file is like, where the first level differs from Keras,
and how long `quantize_apply` and `convert` took. "17/120 0.010%" is the 17th of 120 quantizers in
the order of execution, 0.010 % of whose values differ, ties as a rule; a network of random
weights turns one such level into many. Each network has a process of its own.
"""

from __future__ import annotations

import os

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '3')

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import tensorflow_model_optimization as tfmot
import tf_keras as keras
from absl import app, flags

import tf_n2uq

NETWORKS = (
    'MobileNet',
    'MobileNetV2',
    'MobileNetV3Small',
    'ResNet50',
    'ResNet50V2',
    'VGG16',
    'DenseNet121',
    'InceptionV3',
    'Xception',
    'EfficientNetB0',
    'EfficientNetV2B0',
    'NASNetMobile',
    'ConvNeXtTiny',
)
_NETWORKS = flags.DEFINE_list('networks', list(NETWORKS), 'Names in tf_keras.applications.')
_BITS = flags.DEFINE_list('bits', ['2', '4'], 'Bit-widths.')
_SIZE = flags.DEFINE_integer('size', 96, 'Height and width of the images.', lower_bound=32)
_ONE = flags.DEFINE_bool('one', False, 'In this process; for one network and bit-width.')

_CLASSES, _IMAGES, _COMPARED = 10, 16, 2


def made_up_images(size: int) -> np.ndarray:
    """Returns images of coarse blocks, float32 in 0..255."""
    blocks = np.random.default_rng(0).random((_IMAGES, -(-size // 8), -(-size // 8), 3))
    return 255 * np.kron(blocks, np.ones((1, 8, 8, 1)))[:, :size, :size].astype(np.float32)


def train(model: keras.Model, images: np.ndarray, steps: int) -> None:
    """Takes some steps, so small that they hardly change more than statistics."""
    labels = np.arange(len(images)) % _CLASSES
    model.compile(keras.optimizers.SGD(1e-4), 'sparse_categorical_crossentropy')
    model.fit(images, labels, batch_size=len(images), epochs=steps, verbose=0)


def float_network(name: str, images: np.ndarray) -> keras.Model:
    """Returns a network whose batch normalizations have seen the images."""
    shape = images.shape[1:]
    model = getattr(keras.applications, name)(weights=None, input_shape=shape, classes=_CLASSES)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.3
    train(model, images, 5)
    return model


def check_saving(model: keras.Model, images: np.ndarray) -> keras.Model:
    """Saves and loads in both formats and returns the loaded model."""
    expected = model.predict(images, verbose=0)
    with tempfile.TemporaryDirectory() as folder:
        for name in ('model.h5', 'model.keras'):
            model.save(Path(folder) / name)
            loaded = keras.models.load_model(Path(folder) / name)
            np.testing.assert_array_equal(loaded.predict(images, verbose=0), expected)
    return loaded


def first_difference(compared: tf_n2uq.tflite.Comparison) -> str:
    """Returns which quantizer is the first with other levels than Keras, and how many of them."""
    for number, each in enumerate(compared.quantizers, start=1):
        if each.xnnpack.differing:
            share = each.xnnpack.differing / each.values
            return f'{number}/{len(compared.quantizers)} {share:.3%}'
    return 'none'


def run(name: str, bits: int, size: int) -> str:
    """Takes one network all the way and returns its line."""
    images = made_up_images(size)
    annotated = tf_n2uq.annotate(float_network(name, images))
    start = time.perf_counter()
    scheme = tf_n2uq.N2UQScheme(bits)
    model = tfmot.quantization.keras.quantize_apply(annotated, scheme=scheme)
    applied = time.perf_counter() - start
    tf_n2uq.calibrate(model, images, verbose=0)
    train(model, images, 1)
    model = check_saving(model, images)
    start = time.perf_counter()
    content = tf_n2uq.tflite.convert(model)
    converted = time.perf_counter() - start
    found = tf_n2uq.tflite.inspect(content)
    compared = tf_n2uq.tflite.compare(model, content, images[:_COMPARED])
    differing = first_difference(compared)
    outside = ', '.join(each.operator for each in found.undelegated) or '-'
    return (
        f'{name:18}{bits:5}{len(content) / 1e6:9.2f}{"yes" if found.integer_only else "no":>9}'
        f'{sum(found.operators.values()):7}  {outside:18}{differing:>16}'
        f'{applied:9.1f}{converted:9.1f}'
    )


def main(argv: list[str]) -> None:
    """Runs the benchmark."""
    if len(argv) > 1:
        raise app.UsageError(f'unexpected arguments {argv[1:]}; options start with --')
    if _ONE.value:
        print(run(_NETWORKS.value[0], int(_BITS.value[0]), _SIZE.value), flush=True)
        return
    print(
        f'{"network":18}{"bits":>5}{"MB":>9}{"integer":>9}{"ops":>7}  {"not on XNNPACK":18}'
        f'{"first to differ":>16}{"apply s":>9}{"conv. s":>9}',
        flush=True,
    )
    for name in _NETWORKS.value:
        for bits in _BITS.value:
            options = [f'--networks={name}', f'--bits={bits}', f'--size={_SIZE.value}', '--one']
            done = subprocess.run(
                [sys.executable, __file__, *options], capture_output=True, text=True, check=False
            )
            said = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
            failed = '' if done.returncode == 0 else f'{name:18}{bits:>5}  '
            print(failed + (said[-1] if said else f'ended with {done.returncode}'), flush=True)


if __name__ == '__main__':
    app.run(main)
