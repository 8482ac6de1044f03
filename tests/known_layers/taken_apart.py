"""A layer by itself, the layers that it is taken apart into, and a network with it as a file."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf
import tf_keras as keras

import tf_n2uq
from tests.networks import quantize
from tf_n2uq.graph.graph import Graph
from tf_n2uq.schemes.rewrite.assignment import Assignment
from tf_n2uq.schemes.rewrite.decomposition import decompose


def in_float(layer: keras.layers.Layer, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Returns what a layer of random weights computes, and what its parts compute."""
    inputs = keras.Input(shape)
    model = keras.Model(inputs, layer(inputs))
    rng = np.random.default_rng(0)
    model.set_weights([weight + rng.normal(0, 0.3, weight.shape) for weight in model.get_weights()])
    graph = Graph.from_model(model)
    decompose(graph, Assignment(set(graph.steps), {}))
    assert layer.name not in graph.steps
    images = rng.normal(size=(3, *shape)).astype(np.float32)
    return model(images).numpy(), graph.to_model()(images).numpy()


def as_file(
    layer: Callable[[tf.Tensor], tf.Tensor], shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns outputs of a float network, and how the quantized one and its file differ from it.

    Args:
        layer: makes the tensor in front of the last convolution.
        shape: of the images.

    Returns:
        Outputs of the float network, of the quantized network in Keras, and of the file, the last
        two in steps of the output.
    """
    inputs = keras.Input(shape)
    x = keras.layers.Conv2D(8, 3, padding='same')(inputs)
    model = keras.Model(inputs, keras.layers.Conv2D(4, 3)(layer(x)))
    rng = np.random.default_rng(0)
    model.set_weights([weight + rng.normal(0, 0.2, weight.shape) for weight in model.get_weights()])
    quantized = quantize(model)
    images = rng.uniform(size=(12, *shape)).astype(np.float32)
    tf_n2uq.calibrate(quantized, images, verbose=0)
    step = float(quantized.layers[-1].int8_scale())
    file = tf_n2uq.tflite.predict(tf_n2uq.tflite.convert(quantized), images)
    return model(images).numpy(), quantized(images, training=False).numpy() / step, file / step
