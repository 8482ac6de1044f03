"""How long `convert` takes, beside TensorFlow Model Optimization's way to an 8-bit file.

Ours is `tf_n2uq.tflite.convert` of the published form of ResNet-18 at 2 bits, calibrated. Theirs is
what a user of TFMOT does with a ResNet-18 as in `keras.applications` (`Add`, then `ReLU`, and
`padding='same'`): `quantize_model`, then `tf.lite.TFLiteConverter`. Both run in one process, in
turn. The medians of wall time and of processor time are printed with their ratios.

    python benchmarks/convert_time.py --rounds 3
"""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras
from absl import app, flags

import tf_n2uq

_ROUNDS = flags.DEFINE_integer('rounds', 3, 'How often each side runs.')
_SIZE = flags.DEFINE_integer('size', 224, 'Height and width of the images.')
_layers = keras.layers


def _normalized(x: tf.Tensor, filters: int, size: int, strides: int) -> tf.Tensor:
    x = _layers.Conv2D(filters, size, strides, padding='same', use_bias=False)(x)
    return _layers.BatchNormalization()(x)


def plain_resnet18(size: int) -> keras.Model:
    """Makes a ResNet-18 as users have it, with random weights."""
    image = keras.Input((size, size, 3))
    x = _layers.ReLU()(_normalized(image, 64, 7, 2))
    x = _layers.MaxPooling2D(3, 2, padding='same')(x)
    for filters in (64, 64, 128, 128, 256, 256, 512, 512):
        strides = 1 if x.shape[-1] == filters else 2
        inner = _layers.ReLU()(_normalized(x, filters, 3, strides))
        inner = _normalized(inner, filters, 3, 1)
        if strides == 2:
            x = _normalized(x, filters, 1, 2)
        x = _layers.ReLU()(_layers.Add()([x, inner]))
    x = _layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, _layers.Dense(1000)(x))


def published_resnet18(size: int) -> keras.Model:
    """Makes the published form at 2 bits, calibrated on random images."""
    model = tf_n2uq.models.build('resnet18', input_shape=(size, size, 3))
    annotated = tfmot.quantization.keras.quantize_annotate_model(model)
    quantized = tfmot.quantization.keras.quantize_apply(
        annotated, scheme=tf_n2uq.N2UQScheme(bits=2)
    )
    images = np.random.default_rng(0).uniform(size=(2, size, size, 3)).astype(np.float32)
    tf_n2uq.calibrate(quantized, images, verbose=0)
    return quantized


def convert_8_bit(model: keras.Model) -> bytes:
    """Quantizes and converts a float model by TFMOT's own scheme."""
    quantized = tfmot.quantization.keras.quantize_model(model)
    converter = tf.lite.TFLiteConverter.from_keras_model(quantized)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return converter.convert()


def _timed(run: Callable[[], object]) -> tuple[float, float]:
    wall, processor = time.perf_counter(), time.process_time()
    run()
    return time.perf_counter() - wall, time.process_time() - processor


def main(_: list[str]) -> None:
    """Runs both in turn."""
    ours, theirs = [], []
    model = published_resnet18(_SIZE.value)
    for number in range(_ROUNDS.value):
        plain = plain_resnet18(_SIZE.value)
        ours.append(_timed(functools.partial(tf_n2uq.tflite.convert, model)))
        theirs.append(_timed(functools.partial(convert_8_bit, plain)))
        print(f'round {number}: {ours[-1][0]:.1f} s, TFMOT {theirs[-1][0]:.1f} s', flush=True)
    for title, index in (('wall', 0), ('processor', 1)):
        own = statistics.median(each[index] for each in ours)
        other = statistics.median(each[index] for each in theirs)
        print(f'{title}: {own:.1f} s, TFMOT {other:.1f} s, ratio {own / other:.2f}')


if __name__ == '__main__':
    app.run(main)
