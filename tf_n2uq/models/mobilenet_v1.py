"""MobileNetV1 with ReLUs, as AdaBits trains it."""

from __future__ import annotations

import tf_keras as keras

from tf_n2uq.models.convolution import convolution, depthwise_convolution

_layers = keras.layers
# Filters and stride of each depthwise separable block (MobileNetV1, table 1).
_BLOCKS = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    *(((512, 1),) * 5),
    (1024, 2),
    # The table says stride 2 here, but its shapes are those of stride 1.
    (1024, 1),
)


def mobilenet_v1(
    width: float, input_shape: tuple[int, int, int], classes: int, name: str
) -> keras.Model:
    """Builds a float MobileNetV1: a convolution and 13 depthwise separable blocks.

    Source: "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications"
    (2017), table 1. The activations are ReLUs without an upper bound, as in the paper and in
    AdaBits, whose quantizers learn where to clip. Padding is symmetric, as PyTorch's.

    Args:
        width: The factor on the number of filters, above zero.
        input_shape: `(height, width, channels)` of the images.
        classes: The number of logits.
        name: The model's name.

    Returns:
        A Functional model from float32 images `[batch, height, width, channels]` to float32
        logits `[batch, classes]`.
    """
    image = keras.Input(input_shape, name='image')
    x = convolution(image, _filters(32, width), 3, 2, 'stem', 'stem_bn')
    x = _layers.ReLU(name='stem_relu')(x)
    for number, (filters, stride) in enumerate(_BLOCKS, start=1):
        x = _block(x, _filters(filters, width), stride, f'block{number}')
    x = _layers.GlobalAveragePooling2D(name='pool')(x)
    logits = _layers.Dense(classes, name='logits')(x)
    return keras.Model(image, logits, name=name)


def _filters(filters: int, width: float) -> int:
    return max(1, round(filters * width))


def _block(x: keras.KerasTensor, filters: int, stride: int, name: str) -> keras.KerasTensor:
    depthwise, pointwise = f'{name}_depthwise', f'{name}_pointwise'
    x = depthwise_convolution(x, 3, stride, depthwise, f'{depthwise}_bn')
    x = _layers.ReLU(name=f'{depthwise}_relu')(x)
    x = convolution(x, filters, 1, 1, pointwise, f'{pointwise}_bn')
    return _layers.ReLU(name=f'{pointwise}_relu')(x)
