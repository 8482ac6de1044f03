"""Convolutions with batch normalization, padded and normalized as by PyTorch."""

from __future__ import annotations

import tf_keras as keras

_layers = keras.layers
_EPSILON = 1e-5
# PyTorch's momentum of 0.1 is the weight of the new value, Keras' that of the old one.
_MOMENTUM = 0.9


def convolution(
    x: keras.KerasTensor, filters: int, size: int, stride: int, name: str, normalization: str
) -> keras.KerasTensor:
    """Applies a convolution without bias and a batch normalization.

    Args:
        x: The input, `[batch, height, width, channels]`.
        filters: The number of filters.
        size: The side of the kernel in pixels, odd.
        stride: 1 or 2 pixels.
        name: The name of the convolution. A padding layer in front of it is named after it.
        normalization: The name of the batch normalization.

    Returns:
        The output, `[batch, ⌈height/stride⌉, ⌈width/stride⌉, filters]`.
    """
    layer = _layers.Conv2D(
        filters,
        size,
        strides=stride,
        padding=_padding(size, stride),
        use_bias=False,
        kernel_initializer='he_normal',
        name=name,
    )
    return _apply(layer, x, normalization)


def depthwise_convolution(
    x: keras.KerasTensor, size: int, stride: int, name: str, normalization: str
) -> keras.KerasTensor:
    """Applies a depthwise convolution without bias and a batch normalization.

    Args:
        x: The input, `[batch, height, width, channels]`.
        size: The side of the kernel in pixels, odd.
        stride: 1 or 2 pixels.
        name: The name of the convolution. A padding layer in front of it is named after it.
        normalization: The name of the batch normalization.

    Returns:
        The output, `[batch, ⌈height/stride⌉, ⌈width/stride⌉, channels]`.
    """
    layer = _layers.DepthwiseConv2D(
        size,
        strides=stride,
        padding=_padding(size, stride),
        use_bias=False,
        depthwise_initializer='he_normal',
        name=name,
    )
    return _apply(layer, x, normalization)


def _padding(size: int, stride: int) -> str:
    # 'same' is symmetric at stride 1 only. At stride 2 TensorFlow pads the far side first.
    return 'valid' if size > 1 and stride > 1 else 'same'


def _apply(
    layer: keras.layers.Layer, x: keras.KerasTensor, normalization: str
) -> keras.KerasTensor:
    if layer.padding == 'valid':
        x = _layers.ZeroPadding2D(layer.kernel_size[0] // 2, name=f'{layer.name}_padding')(x)
    normalize = _layers.BatchNormalization(epsilon=_EPSILON, momentum=_MOMENTUM, name=normalization)
    return normalize(layer(x))
