"""The networks of the benchmarks, with random kernels and the statistics of random images."""

from __future__ import annotations

from typing import Any

import numpy as np
import tf_keras as keras

import tf_n2uq

_IMAGES = 8


def random_images(size: int) -> np.ndarray:
    """Returns random images, standard normal as normalized photographs are."""
    return np.random.default_rng(0).standard_normal((_IMAGES, size, size, 3), np.float32)


def float_network(name: str, images: np.ndarray, **options: Any) -> keras.Model:
    """Returns a float network whose batch normalizations have the statistics of the images.

    With fresh ones its signal would fade from layer to layer. Its kernels are the same every time.
    """
    keras.utils.set_random_seed(0)
    model = tf_n2uq.models.build(name, input_shape=images.shape[1:], **options)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    model(images, training=True)
    return model


def quantized_network(name: str, bits: int, images: np.ndarray, **options: Any) -> keras.Model:
    """Returns the published network, calibrated."""
    source = float_network(name, images, **options)
    model = tf_n2uq.models.build(name, bits, input_shape=images.shape[1:], **options)
    targets = {layer.name.removeprefix('quant_'): layer for layer in model.layers}
    for layer in source.layers:
        if layer.weights:
            target = targets[layer.name]
            getattr(target, 'layer', target).set_weights(layer.get_weights())
    tf_n2uq.calibrate(model, images, verbose=0)
    return model
