"""MobileNetV2 with ReLUs, as AdaBits trains it."""

from __future__ import annotations

import tf_keras as keras

from tf_n2uq.models.convolution import convolution, depthwise_convolution
from tf_n2uq.models.mobilenet_v2 import STAGES, filters_of_width

_layers = keras.layers


def mobilenet_v2_relu(
    width: float, input_shape: tuple[int, int, int], classes: int, name: str
) -> keras.Model:
    """Builds a float MobileNetV2 of the paper's layers, with ReLUs.

    Source: "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (CVPR 2018), table 2, where
    the first bottleneck expands nothing and so has no first 1×1 convolution. The activations are
    ReLUs in place of the paper's ReLU6, as in AdaBits (CVPR 2020), whose quantizers learn where
    to clip. Padding is symmetric, as PyTorch's.

    Args:
        width: The factor on the number of filters, above zero. The products are rounded to
            multiples of 8, as the paper's authors do. The last convolution is never made narrower.
        input_shape: `(height, width, channels)` of the images.
        classes: The number of logits.
        name: The model's name.

    Returns:
        A Functional model from float32 images `[batch, height, width, channels]` to float32
        logits `[batch, classes]`.
    """
    image = keras.Input(input_shape, name='image')
    x = convolution(image, filters_of_width(32, width), 3, 2, 'stem', 'stem_bn')
    x = _layers.ReLU(name='stem_relu')(x)
    for stage, (expansion, filters, blocks, first_stride) in enumerate(STAGES, start=1):
        for block in range(blocks):
            stride = first_stride if block == 0 else 1
            block_name = f'stage{stage}_block{block + 1}'
            x = _bottleneck(x, expansion, filters_of_width(filters, width), stride, block_name)
    x = convolution(x, filters_of_width(1280, max(1.0, width)), 1, 1, 'last', 'last_bn')
    x = _layers.ReLU(name='last_relu')(x)
    x = _layers.GlobalAveragePooling2D(name='pool')(x)
    logits = _layers.Dense(classes, name='logits')(x)
    return keras.Model(image, logits, name=name)


def _bottleneck(
    x: keras.KerasTensor, expansion: int, filters: int, stride: int, name: str
) -> keras.KerasTensor:
    shortcut = x
    if expansion > 1:
        expanded = expansion * x.shape[-1]
        x = convolution(x, expanded, 1, 1, f'{name}_expand', f'{name}_expand_bn')
        x = _layers.ReLU(name=f'{name}_expand_relu')(x)
    x = depthwise_convolution(x, 3, stride, f'{name}_depthwise', f'{name}_depthwise_bn')
    x = _layers.ReLU(name=f'{name}_depthwise_relu')(x)
    x = convolution(x, filters, 1, 1, f'{name}_project', f'{name}_project_bn')
    if stride == 1 and shortcut.shape[-1] == filters:
        x = _layers.Add(name=f'{name}_add')([x, shortcut])
    return x
