"""One small network per pattern that a user's model may hold, and how to quantize it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq

_layers = keras.layers


def _sequential() -> keras.Model:
    return keras.Sequential(
        [
            _layers.Conv2D(8, 3, activation='relu', input_shape=(8, 8, 3)),
            _layers.MaxPooling2D(),
            _layers.Conv2D(8, 3, padding='same', activation='relu6'),
            _layers.Dropout(0.3),
            _layers.Flatten(),
            _layers.Dense(16, activation='relu'),
            _layers.Dense(4, activation='softmax'),
        ]
    )


def _batch_normalized() -> keras.Model:
    image = keras.Input((8, 8, 3))
    x = _layers.Conv2D(8, 3, use_bias=False)(image)
    x = _layers.BatchNormalization()(x)
    x = _layers.ReLU()(x)
    x = _layers.Conv2D(8, 3, strides=2, padding='same', name='inner')(x)
    x = _layers.BatchNormalization()(x)
    x = _layers.Conv2D(8, 1, name='signed_input')(x)
    x = _layers.BatchNormalization(scale=False, center=False)(x)
    x = _layers.LeakyReLU()(x)
    x = _layers.Conv2D(8, 3, use_bias=False, name='behind_leaky')(x)
    x = _layers.ReLU()(x)
    x = _layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, _layers.Dense(4)(x))


def _residual() -> keras.Model:
    image = keras.Input((8, 8, 3))
    x = _layers.Conv2D(8, 3, padding='same', activation='relu')(image)
    y = _layers.Conv2D(8, 3, padding='same', use_bias=False)(x)
    y = _layers.BatchNormalization()(y)
    x = _layers.ReLU()(_layers.Add()([x, y]))
    y = _layers.Conv2D(8, 3, padding='same')(x)
    x = _layers.Add()([x, y])
    x = _layers.Conv2D(8, 3, name='behind_sum')(x)
    x = _layers.GlobalMaxPooling2D()(x)
    return keras.Model(image, _layers.Dense(4)(x))


def _several_readers() -> keras.Model:
    image = keras.Input((9, 9, 3))
    x = _layers.Conv2D(8, 3, activation='relu')(image)
    relu = _layers.ReLU()
    a = relu(_layers.Conv2D(6, 3, padding='same', name='left')(x))
    b = relu(_layers.Conv2D(6, 1, name='right')(x))
    c = _layers.AveragePooling2D(1)(_layers.Conv2D(6, 3, padding='same', name='middle')(x))
    x = _layers.Add()([_layers.Add()([a, b]), c])
    x = _layers.Flatten()(_layers.AveragePooling2D(2)(x))
    return keras.Model(image, _layers.Dense(4)(x))


def _depthwise() -> keras.Model:
    image = keras.Input((8, 8, 3))
    x = _layers.Conv2D(8, 3, strides=2, padding='same')(image)
    x = _layers.ReLU(6.0)(_layers.BatchNormalization()(x))
    x = _layers.DepthwiseConv2D(3, padding='same', use_bias=False)(x)
    x = _layers.ReLU(6.0)(_layers.BatchNormalization()(x))
    x = _layers.Conv2D(12, 1, use_bias=False)(x)
    x = _layers.BatchNormalization()(x)
    x = _layers.DepthwiseConv2D(3, depth_multiplier=2)(x)
    x = _layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, _layers.Dense(4)(x))


def _separable() -> keras.Model:
    return keras.Sequential(
        [
            _layers.Conv2D(8, 3, activation='relu', input_shape=(8, 8, 3)),
            _layers.SeparableConv2D(12, 3, padding='same', activation='relu'),
            _layers.SeparableConv2D(8, 3, strides=2, use_bias=False, depth_multiplier=2),
            _layers.BatchNormalization(),
            _layers.ReLU(),
            _layers.GlobalAveragePooling2D(),
            _layers.Dense(4),
        ]
    )


def _zero_padded() -> keras.Model:
    image = keras.Input((8, 8, 3))
    x = _layers.Conv2D(8, 3, activation='relu')(_layers.ZeroPadding2D(1)(image))
    padded = _layers.ZeroPadding2D(((0, 1), (1, 0)))(x)
    a = _layers.Conv2D(8, 2, name='left')(padded)
    b = _layers.Conv2D(8, 2, name='right')(padded)
    x = _layers.Add()([a, b])
    x = _layers.ZeroPadding2D(2)(x)
    x = _layers.DepthwiseConv2D(5, name='deep')(x)
    x = _layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, _layers.Dense(4)(x))


def _normalized_first() -> keras.Model:
    image = keras.Input((8, 8, 3))
    x = _layers.Conv2D(8, 3, padding='same')(image)
    y = _layers.ReLU()(_layers.BatchNormalization()(x))
    y = _layers.Conv2D(8, 3, padding='same', name='behind_normalization')(y)
    x = _layers.Add()([x, y])
    x = _layers.ReLU()(_layers.BatchNormalization()(x))
    x = _layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, _layers.Dense(4)(x))


def _folding_activations() -> keras.Model:
    image = keras.Input((8, 8, 3))
    x = _layers.Conv2D(8, 3, padding='same')(image)
    x = _layers.PReLU(shared_axes=(1, 2))(x)
    x = _layers.Conv2D(8, 3, padding='same', name='behind_prelu')(x)
    x = tf_n2uq.layers.RPReLU()(x)
    x = _layers.Conv2D(8, 3, padding='same', activation='swish', name='behind_rprelu')(x)
    x = _layers.Conv2D(8, 3, padding='same', activation='tanh', name='behind_swish')(x)
    x = _layers.Conv2D(8, 3, padding='same', name='behind_tanh')(x)
    x = _layers.PReLU()(x)
    x = _layers.Conv2D(8, 3, activation='relu', name='behind_prelu_per_position')(x)
    x = _layers.Flatten()(x)
    return keras.Model(image, _layers.Dense(4)(x))


def _rectified() -> keras.Model:
    """What comes out of an RPReLU or a PReLU goes into quantizers and past them."""
    image = keras.Input((8, 8, 3))
    x = _layers.Conv2D(8, 3, padding='same', name='stem')(image)
    for rectifier in (tf_n2uq.layers.RPReLU, _rectifier):
        inner = _layers.Conv2D(8, 3, padding='same', use_bias=False)(x)
        x = _layers.Add()([x, _layers.BatchNormalization()(inner)])
        x = rectifier()(x)
    x = _layers.GlobalAveragePooling2D()(x)
    x = tf_n2uq.layers.RPReLU()(_layers.Dense(8)(x))
    x = _layers.Add()([x, _layers.Dense(8)(x)])
    return keras.Model(image, _layers.Dense(4)(x))


def _rectifier() -> keras.layers.PReLU:
    return _layers.PReLU(keras.initializers.RandomUniform(-0.5, 1.5), shared_axes=[1, 2])


def _concatenated() -> keras.Model:
    """Parts of different ranges, also read by others; pixels picked by a pooling of one."""
    image = keras.Input((8, 8, 3))
    x = _layers.Conv2D(6, 3, padding='same', activation='relu', name='stem')(image)
    for _ in range(2):
        grown = _layers.Conv2D(4, 3, padding='same')(_layers.LeakyReLU()(x))
        x = _layers.Concatenate()([x, _layers.ReLU(6.0)(grown)])
    x = _layers.MaxPooling2D(1, strides=2)(x)
    x = _layers.GlobalAveragePooling2D()(_layers.Conv2D(8, 3, activation='relu')(x))
    return keras.Model(image, _layers.Dense(4)(x))


def _dense_only() -> keras.Model:
    return keras.Sequential(
        [
            _layers.Flatten(input_shape=(8, 8, 3)),
            _layers.Dense(24, activation='relu'),
            _layers.Dense(24, use_bias=False),
            _layers.BatchNormalization(),
            _layers.ReLU(),
            _layers.Dense(12),
            _layers.LeakyReLU(),
            _layers.Dense(12),
            _layers.Dense(4, activation='softmax'),
        ]
    )


def _shared() -> keras.Model:
    """A layer that reads its own output, and a head that reads two levels of a pyramid."""
    image = keras.Input((8, 8, 3))
    x = _layers.Conv2D(8, 3, padding='same', activation='relu', name='stem')(image)
    again = _layers.Conv2D(8, 3, padding='same', activation='relu', name='again')
    x = again(again(x))
    head = _layers.SeparableConv2D(6, 3, padding='same', use_bias=False, name='head')
    normalization = _layers.BatchNormalization(name='head_normalization')
    slopes = _layers.PReLU(shared_axes=[1, 2])
    levels = (x, _layers.MaxPooling2D()(x))
    heads = [slopes(normalization(head(level))) for level in levels]
    seen = [_layers.GlobalAveragePooling2D()(each) for each in heads]
    x = _layers.ReLU()(_layers.Dense(8, name='mixed')(_layers.Concatenate()(seen)))
    return keras.Model(image, _layers.Dense(4)(x))


NETWORKS: dict[str, Callable[[], keras.Model]] = {
    'sequential': _sequential,
    'batch_normalized': _batch_normalized,
    'residual': _residual,
    'several_readers': _several_readers,
    'depthwise': _depthwise,
    'separable': _separable,
    'zero_padded': _zero_padded,
    'normalized_first': _normalized_first,
    'folding_activations': _folding_activations,
    'rectified': _rectified,
    'concatenated': _concatenated,
    'shared': _shared,
    'dense_only': _dense_only,
}


def images_for(model: keras.Model, count: int = 32, seed: int = 1) -> np.ndarray:
    """Smooth random images in 0..1 of the size that a model takes."""
    generator = np.random.default_rng(seed)
    coarse = generator.random((count, 3, 3, model.input_shape[-1]))
    height, width = model.input_shape[1:3]
    rows = np.linspace(0, 2, height).astype(int)
    columns = np.linspace(0, 2, width).astype(int)
    fine = coarse[:, rows][:, :, columns] + 0.2 * generator.random((count, height, width, 1))
    return (fine / 1.2).astype(np.float32)


def float_network(name: str, seed: int = 0) -> keras.Model:
    """A network with weights and batch statistics that are not the initial ones."""
    keras.utils.set_random_seed(seed)
    model = NETWORKS[name]()
    generator = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shapes = [weight.shape for weight in layer.weights]
            layer.set_weights([generator.uniform(0.5, 1.5, shape) for shape in shapes])
        elif isinstance(layer, tf_n2uq.layers.RPReLU):
            for weight in layer.weights:
                weight.assign(generator.normal(0.3, 0.5, weight.shape))
    return model


def annotate(model: keras.Model) -> keras.Model:
    return tfmot.quantization.keras.quantize_annotate_model(model)


def quantize(model: keras.Model, **scheme: Any) -> keras.Model:
    return tfmot.quantization.keras.quantize_apply(
        annotate(model), scheme=tf_n2uq.N2UQScheme(**scheme)
    )


def quantized_network(name: str, bits: int = 2) -> keras.Model:
    """A calibrated network."""
    model = quantize(float_network(name), bits=bits)
    tf_n2uq.calibrate(model, images_for(model), verbose=0)
    return model
