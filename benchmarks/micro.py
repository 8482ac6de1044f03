"""Size and tensor arena of files for TensorFlow Lite Micro.

    python benchmarks/micro.py

MobileNetV2 of width 0.35 for 96x96 images, as N2UQ publishes it, calibrated on random images; and,
with `--model`, a model that a user has saved. Bytes, with int8 input and output. The file for
XNNPACK beside it is the smallest one, by `optimize_for='size'`.
"""

from __future__ import annotations

import os

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

import functools
from typing import Any

import tensorflow as tf
import tf_keras as keras
from absl import app, flags, logging
from networks import quantized_network, random_images

import tf_n2uq
from tf_n2uq.tflite.loading import load_model

_BITS = flags.DEFINE_list('bits', ['4', '2'], 'Bit-widths of MobileNetV2.')
_MODEL = flags.DEFINE_string('model', None, 'A trained model that was saved, measured besides.')
_SIZE, _WIDTH = 96, 0.35


def print_line(name: str, model: keras.Model, images: Any) -> None:
    """Converts a model for both kinds of kernels and prints what the files are like."""
    convert = functools.partial(
        tf_n2uq.tflite.convert,
        model,
        representative_dataset=images,
        inference_input_type=tf.int8,
        inference_output_type=tf.int8,
    )
    micro, smallest = convert(target='micro'), convert(target='xnnpack', optimize_for='size')
    arena = tf_n2uq.tflite.micro_arena(micro)
    print(f'{name:32}{len(micro):12,}{len(smallest):12,}{arena:12,}', flush=True)


def main(argv: list[str]) -> None:
    """Prints the table."""
    if len(argv) > 1:
        raise app.UsageError(f'unexpected arguments {argv[1:]}; options start with --')
    print(f'{"":32}{"file":>12}{"XNNPACK":>12}{"arena":>12}')
    if _MODEL.value is not None:
        print_line(_MODEL.value, load_model(_MODEL.value, '--model'), None)
    images = random_images(_SIZE)
    for bits in map(int, _BITS.value):
        model = quantized_network('mobilenet_v2', bits, images, width=_WIDTH, classes=10)
        print_line(f'MobileNetV2 {_WIDTH}, {bits} bits', model, images)


if __name__ == '__main__':
    logging.set_verbosity(logging.WARNING)
    app.run(main)
