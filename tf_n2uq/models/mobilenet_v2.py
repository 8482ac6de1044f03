"""MobileNetV2 as N2UQ publishes it."""

from __future__ import annotations

import tf_keras as keras

from tf_n2uq.layers import RPReLU
from tf_n2uq.models.convolution import convolution, depthwise_convolution

_layers = keras.layers
# Expansion, filters, blocks, stride of the first block (MobileNetV2, table 2).
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
# N2UQ clips the input of this 1×1 convolution by PACT.
CLIPPED = 'feature_18_conv1'


def mobilenet_v2(
    width: float, input_shape: tuple[int, int, int], classes: int, name: str
) -> keras.Model:
    """Builds a float MobileNetV2 with an RPReLU in front of every convolution of a bottleneck.

    Source: "MobileNetV2: Inverted Residuals and Linear Bottlenecks" (CVPR 2018), table 2;
    "Nonuniform-to-Uniform Quantization" (CVPR 2022), section 4.1, for the RPReLUs. As in N2UQ's
    published code, the first bottleneck has its 1×1 convolution too, though it expands nothing.
    Padding is symmetric, as PyTorch's.

    Layers are named as in the published code, `feature_1_conv1` for `feature.1.conv1`.

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
    x = convolution(image, filters_of_width(32, width), 3, 2, 'feature_0_conv1', 'feature_0_bn1')
    x = _layers.ReLU(6.0, name='feature_0_relu6')(x)
    number = 0
    for expansion, filters, blocks, first_stride in STAGES:
        for block in range(blocks):
            number += 1
            stride = first_stride if block == 0 else 1
            x = _bottleneck(
                x, expansion, filters_of_width(filters, width), stride, f'feature_{number}'
            )
    x = convolution(x, filters_of_width(1280, max(1.0, width)), 1, 1, CLIPPED, 'feature_18_bn1')
    x = _layers.ReLU(6.0, name='feature_18_relu6')(x)
    x = _layers.GlobalAveragePooling2D(name='avgpool')(x)
    logits = _layers.Dense(classes, name='fc')(x)
    return keras.Model(image, logits, name=name)


def filters_of_width(filters: int, width: float) -> int:
    """Returns a number of filters that is a multiple of 8.

    Source: the rounding that the authors of MobileNetV2 publish with their code.

    Args:
        filters: The number of filters at full width.
        width: The factor on the number of filters.

    Returns:
        The multiple of 8 nearest to `filters · width`, but not more than a tenth below.
    """
    wanted = filters * width
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * wanted else rounded + 8


def _bottleneck(
    x: keras.KerasTensor, expansion: int, filters: int, stride: int, name: str
) -> keras.KerasTensor:
    shortcut = x
    x = RPReLU(name=f'{name}_rprelu1')(x)
    x = convolution(x, expansion * x.shape[-1], 1, 1, f'{name}_conv1', f'{name}_bn1')
    x = RPReLU(name=f'{name}_rprelu2')(x)
    x = depthwise_convolution(x, 3, stride, f'{name}_conv2', f'{name}_bn2')
    x = RPReLU(name=f'{name}_rprelu3')(x)
    x = convolution(x, filters, 1, 1, f'{name}_conv3', f'{name}_bn3')
    if stride == 1 and shortcut.shape[-1] == filters:
        x = _layers.Add(name=f'{name}_add')([x, shortcut])
    return x
