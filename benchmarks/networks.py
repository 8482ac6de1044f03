"""The networks of the benchmarks, with random kernels and the statistics of random images.

There are two families. *Published* networks are those of `tf_n2uq.models.build`, as N2UQ publishes
them: every convolution has an RPReLU in front of it. *Plain* networks are the same architectures as
users have them, with ReLUs, and TFMOT quantizes them to 8 bits without further ado.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq

_layers = keras.layers
_IMAGES = 8
# Blocks in each stage, and whether they are bottlenecks.
_RESNETS = {'resnet18': ((2, 2, 2, 2), False), 'resnet50': ((3, 4, 6, 3), True)}
_SCHEMES = {
    'n2uq': tf_n2uq.N2UQScheme,
    'pact': tf_n2uq.PACTScheme,
    'lsq': tf_n2uq.LSQScheme,
}
PLAIN_NETWORKS = (*_RESNETS, 'mobilenet_v2')
METHODS = tuple(_SCHEMES)
# Spread of the logarithm of intervals, and of what RPReLUs learn beside pre-activations of standard
# deviation 1.
_INTERVAL_SPREAD = 0.3
_BIAS_SPREAD, _SLOPE_SPREAD = 0.2, 0.1


def random_images(size: int) -> np.ndarray:
    """Returns random images, standard normal as normalized photographs are."""
    return np.random.default_rng(0).standard_normal((_IMAGES, size, size, 3), np.float32)


def float_network(name: str, images: np.ndarray, **options: Any) -> keras.Model:
    """Returns a published network in float. Its kernels are the same every time."""
    keras.utils.set_random_seed(0)
    model = tf_n2uq.models.build(name, input_shape=images.shape[1:], **options)
    return _with_statistics(model, images)


def quantized_network(name: str, bits: int, images: np.ndarray, **options: Any) -> keras.Model:
    """Returns a published network, quantized and calibrated."""
    source = float_network(name, images, **options)
    model = tf_n2uq.models.build(name, bits, input_shape=images.shape[1:], **options)
    targets = {layer.name.removeprefix('quant_'): layer for layer in model.layers}
    for layer in source.layers:
        if layer.weights:
            target = targets[layer.name]
            getattr(target, 'layer', target).set_weights(layer.get_weights())
    tf_n2uq.calibrate(model, images, verbose=0)
    return model


def with_shared_rprelus(model: keras.Model) -> keras.Model:
    """Copies a calibrated network, with RPReLUs whose channels share slope and last bias."""

    def copy(layer: keras.layers.Layer) -> keras.layers.Layer:
        config = layer.get_config()
        if isinstance(layer, tf_n2uq.layers.RPReLU):
            config['shared'] = True
        return type(layer).from_config(config)

    result = keras.models.clone_model(model, clone_function=copy)
    for layer, source in zip(result.layers, model.layers, strict=True):
        # Calibration leaves RPReLUs as they start.
        if not isinstance(layer, tf_n2uq.layers.RPReLU):
            layer.set_weights(source.get_weights())
    return result


def as_trained(model: keras.Model) -> keras.Model:
    """Moves what calibration leaves alike, in place, about as far as training does.

    Args:
        model: a calibrated network.

    Returns:
        The same model. Its intervals between thresholds are multiplied by exp(0.3·N(0, 1)), and if
        it has RPReLUs, 0.2·N(0, 1) is added to their biases and 0.1·N(0, 1) to their slopes.

    Raises:
        ValueError: if the model has no intervals to move.
    """
    random = np.random.default_rng(1)
    names = [weight.name.split(':')[0].split('/')[-1] for weight in model.weights]
    if not any(name.endswith('intervals') for name in names):
        raise ValueError(
            f'model: expected quantizers of N2UQ, which have intervals, got {model.name!r} without '
            'any. Quantize it by N2UQScheme.'
        )
    for weight, name in zip(model.weights, names, strict=True):
        noise = random.standard_normal(weight.shape, np.float32)
        # A quantizer's variables are named after the tensor: `tensor_intervals`.
        if name.endswith('intervals'):
            weight.assign(weight * np.exp(_INTERVAL_SPREAD * noise))
        elif name in ('bias_in', 'bias_out'):
            weight.assign(weight + _BIAS_SPREAD * noise)
        elif name == 'slope':
            weight.assign(weight + _SLOPE_SPREAD * noise)
    return model


def plain_network(name: str, images: np.ndarray) -> keras.Model:
    """Returns a float network as users have it. Its kernels are the same every time.

    Args:
        name: 'resnet18' or 'resnet50', with `Add`, then `ReLU`, `padding='same'`, and the stride of
            a bottleneck in its 3x3 convolution; or 'mobilenet_v2', which is
            `keras.applications.MobileNetV2`.
        images: that give the batch normalizations their statistics, `[batch, height, width, 3]`.

    Returns:
        A model from images to 1000 logits.
    """
    keras.utils.set_random_seed(0)
    if name == 'mobilenet_v2':
        model = keras.applications.MobileNetV2(
            images.shape[1:], weights=None, classifier_activation=None
        )
    else:
        model = _plain_resnet(*_RESNETS[name], images.shape[1:])
    for layer in model.layers:
        if isinstance(layer, (_layers.Conv2D, _layers.DepthwiseConv2D)):
            # Normal kernels as in published networks: how far a file can be zipped depends on it.
            # From one initializer for each kernel: an initializer gives the same numbers again.
            kernel = layer.weights[0]
            kernel.assign(keras.initializers.HeNormal()(kernel.shape))
    return _with_statistics(model, images)


def quantized_plain_network(name: str, method: str, bits: int, images: np.ndarray) -> keras.Model:
    """Returns a plain network with the quantizers of a method, calibrated.

    Args:
        name: of the plain network.
        method: 'n2uq', 'pact' or 'lsq'.
        bits: its bit-width.
        images: that give the statistics and are calibrated on.

    Returns:
        A model from `quantize_apply`, with 8 bits at its ends and a range for every tensor.
    """
    annotated = tfmot.quantization.keras.quantize_annotate_model(plain_network(name, images))
    model = tfmot.quantization.keras.quantize_apply(annotated, scheme=_SCHEMES[method](bits=bits))
    tf_n2uq.calibrate(model, images, verbose=0)
    return model


def _with_statistics(model: keras.Model, images: np.ndarray) -> keras.Model:
    """Gives batch normalizations the statistics of images: with fresh ones, signals fade."""
    for layer in model.layers:
        if isinstance(layer, _layers.BatchNormalization):
            layer.momentum = 0.0
    model(images, training=True)
    return model


def _plain_resnet(
    blocks: tuple[int, ...], bottlenecks: bool, shape: tuple[int, int, int]
) -> keras.Model:
    image = keras.Input(shape)
    x = _layers.ReLU()(_normalized(image, 64, 7, 2))
    x = _layers.MaxPooling2D(3, 2, padding='same')(x)
    for stage, number in enumerate(blocks):
        for block in range(number):
            stride = 2 if stage > 0 and block == 0 else 1
            x = (_bottleneck if bottlenecks else _basic_block)(x, 64 << stage, stride)
    x = _layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, _layers.Dense(1000)(x))


def _basic_block(x: tf.Tensor, filters: int, stride: int) -> tf.Tensor:
    inner = _layers.ReLU()(_normalized(x, filters, 3, stride))
    return _joined(x, _normalized(inner, filters, 3, 1), stride)


def _bottleneck(x: tf.Tensor, filters: int, stride: int) -> tf.Tensor:
    inner = _layers.ReLU()(_normalized(x, filters, 1, 1))
    inner = _layers.ReLU()(_normalized(inner, filters, 3, stride))
    return _joined(x, _normalized(inner, 4 * filters, 1, 1), stride)


def _joined(x: tf.Tensor, inner: tf.Tensor, stride: int) -> tf.Tensor:
    filters = inner.shape[-1]
    if stride > 1 or x.shape[-1] != filters:
        x = _normalized(x, filters, 1, stride)
    return _layers.ReLU()(_layers.Add()([x, inner]))


def _normalized(x: tf.Tensor, filters: int, size: int, stride: int) -> tf.Tensor:
    x = _layers.Conv2D(filters, size, stride, padding='same', use_bias=False)(x)
    return _layers.BatchNormalization()(x)
