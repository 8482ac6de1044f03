"""Files of small networks, each with inputs, for the comparison of processors."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tests.networks import annotate, float_network, images_for, quantized_network
from tests.tflite import random_networks
from tf_n2uq.tflite.passes import flatbuffer

File = tuple[bytes, np.ndarray]
"""The bytes of a TFLite file, and images for it, `[count, height, width, channels]`."""

IMAGES = 16
# Names of `tests.networks`, bits, and what `convert` optimizes for.
PATTERNS = [
    ('residual', 2, 'latency'),
    ('residual', 2, 'size'),
    ('residual', 8, 'latency'),
    ('depthwise', 3, 'size'),
    ('depthwise', 4, 'latency'),
    ('folding_activations', 4, 'size'),
    ('concatenated', 2, 'latency'),
    ('rectified', 3, 'latency'),
    ('dense_only', 4, 'size'),
]
# Schemes of networks that are wide enough for kernels of few bits, and for sums of channels.
WIDE = {
    'lsq-2': tf_n2uq.LSQScheme(2),
    'n2uq-2': tf_n2uq.N2UQScheme(2),
    'n2uq-4': tf_n2uq.N2UQScheme(4),
}
# Seeds of random networks. With the patterns, they have all operators that `OPERATORS` names.
SEEDS = [1, 2, 3, 5, 12, 13]
OPERATORS = {
    *('CONV_2D', 'DEPTHWISE_CONV_2D', 'FULLY_CONNECTED', 'ADD', 'SUB', 'MUL', 'MEAN', 'REDUCE_MAX'),
    *('MAX_POOL_2D', 'PAD', 'CONCATENATION', 'STRIDED_SLICE', 'RESHAPE', 'LOGISTIC', 'TANH'),
    *('SOFTMAX', 'QUANTIZE', 'DEQUANTIZE'),
}


def pattern_file(name: str, bits: int, optimize_for: Any) -> File:
    """Returns the file of a small network of `tests.networks`."""
    model = quantized_network(name, bits)
    return tf_n2uq.tflite.convert(model, optimize_for=optimize_for), images_for(model, IMAGES, 7)


def wide_file(name: str) -> File:
    """Returns the file of a wide network, with its kernels in as few bytes as possible."""
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(32, 3, activation='relu')(image)
    x = keras.layers.Conv2D(48, 3, padding='same', activation='relu')(x)
    x = keras.layers.Conv2D(64, 1, activation='relu')(x)
    x = keras.layers.Dense(4)(keras.layers.GlobalAveragePooling2D()(x))
    keras.utils.set_random_seed(0)
    model = tfmot.quantization.keras.quantize_apply(
        annotate(keras.Model(image, x)), scheme=WIDE[name]
    )
    tf_n2uq.calibrate(model, images_for(model), verbose=0)
    return tf_n2uq.tflite.convert(model, optimize_for='size'), images_for(model, IMAGES, 7)


def random_file(seed: int) -> File:
    """Returns the file of a random network, with kernels of few bits as INT4."""
    model, data = random_networks.random_quantized(seed)
    images = random_networks.random_images(model, seed + 1000, IMAGES)
    content = tf_n2uq.tflite.convert(model, representative_dataset=data, optimize_for='size')
    return content, images


def tfmot_file(name: str) -> File:
    """Returns the file that TFMOT and TensorFlow's converter make of a float network, in int8."""
    keras_api = tfmot.quantization.keras
    source = float_network(name)
    model = keras_api.quantize_apply(keras_api.quantize_annotate_model(source))
    model(images_for(model), training=True)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return converter.convert(), images_for(model, IMAGES, 7)


def up_to_softmax(content: bytes) -> bytes:
    """Returns a file without a softmax at its end: the output is the input of the softmax."""
    model = flatbuffer.read(content)
    graph = flatbuffer.main_graph(model)
    names = [flatbuffer.operator_name(model, operator) for operator in graph.operators]
    if 'SOFTMAX' not in names:
        return content
    end = names.index('SOFTMAX')
    graph.outputs = graph.operators[end].inputs
    graph.operators = graph.operators[:end]
    model.signatureDefs = None
    flatbuffer.drop_unused(model)
    return flatbuffer.write(model)


def all_files() -> dict[str, File]:
    """Returns all files by name."""
    files = {
        f'{name}-{bits}-bits-for-{goal}': pattern_file(name, bits, goal)
        for name, bits, goal in PATTERNS
    }
    files |= {f'wide-{name}': wide_file(name) for name in WIDE}
    files |= {f'random-{seed}': random_file(seed) for seed in SEEDS}
    files |= {f'{name}-by-tfmot': tfmot_file(name) for name in ('residual', 'depthwise')}
    keras.backend.clear_session()
    return files
