"""ResNets for ImageNet as N2UQ publishes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tf_keras as keras

from tf_n2uq.layers import RPReLU
from tf_n2uq.models.convolution import convolution

_layers = keras.layers
_Block = Callable[..., Any]


def imagenet_resnet(
    depth: int,
    width: float,
    input_shape: tuple[int, int, int],
    classes: int,
    name: str,
) -> keras.Model:
    """Builds a float ResNet with an RPReLU in front of every convolution and behind every sum.

    Source: "Deep Residual Learning for Image Recognition" (CVPR 2016), table 1, with the stride
    of a bottleneck in its 3×3 convolution; "Nonuniform-to-Uniform Quantization" (CVPR 2022),
    section 4.1, for the RPReLUs. With slopes and biases of 0 (an RPReLU is then a ReLU) it is
    torchvision's network of that depth. Padding is symmetric, as PyTorch's.

    Layers are named as in the published code, `layer1_0_conv1` for `layer1.0.conv1`.

    Args:
        depth: 18, 34, 50, 101 or 152.
        width: The factor on the number of filters, above zero.
        input_shape: `(height, width, channels)` of the images.
        classes: The number of logits.
        name: The model's name.

    Returns:
        A Functional model from float32 images `[batch, height, width, channels]` to float32
        logits `[batch, classes]`.
    """
    block, expansion, blocks = _STAGES[depth]
    image = keras.Input(input_shape, name='image')
    x = convolution(image, max(1, round(64 * width)), 7, 2, 'conv1', 'bn1')
    x = _layers.ReLU(name='relu')(x)
    # The zeros of the padding change no maximum, because a ReLU's outputs are never below zero.
    x = _layers.ZeroPadding2D(1, name='maxpool_padding')(x)
    x = _layers.MaxPooling2D(3, 2, name='maxpool')(x)
    for stage, count in enumerate(blocks):
        filters = max(1, round((64 << stage) * width))
        for index in range(count):
            stride = 2 if stage > 0 and index == 0 else 1
            block_name = f'layer{stage + 1}_{index}'
            shortcut = _shortcut(x, filters * expansion, stride, block_name)
            x = _layers.Add(name=f'{block_name}_add')(
                [block(x, filters, stride, block_name), shortcut]
            )
            x = RPReLU(name=f'{block_name}_rprelu{_LAST_RPRELU[expansion]}')(x)
    x = _layers.GlobalAveragePooling2D(name='avgpool')(x)
    logits = _layers.Dense(classes, name='fc')(x)
    return keras.Model(image, logits, name=name)


def _shortcut(x: keras.KerasTensor, filters: int, stride: int, name: str) -> keras.KerasTensor:
    if stride == 1 and x.shape[-1] == filters:
        return x
    return convolution(x, filters, 1, stride, f'{name}_downsample', f'{name}_downsample_bn')


def _basic(x: keras.KerasTensor, filters: int, stride: int, name: str) -> keras.KerasTensor:
    x = _step(x, filters, 3, stride, name, 1)
    return _step(x, filters, 3, 1, name, 2)


def _bottleneck(x: keras.KerasTensor, filters: int, stride: int, name: str) -> keras.KerasTensor:
    x = _step(x, filters, 1, 1, name, 1)
    x = _step(x, filters, 3, stride, name, 2)
    return _step(x, 4 * filters, 1, 1, name, 3)


def _step(
    x: keras.KerasTensor, filters: int, size: int, stride: int, name: str, number: int
) -> keras.KerasTensor:
    x = RPReLU(name=f'{name}_rprelu{number}')(x)
    return convolution(x, filters, size, stride, f'{name}_conv{number}', f'{name}_bn{number}')


# The block, its expansion, and the number of blocks per stage.
_STAGES: dict[int, tuple[_Block, int, tuple[int, int, int, int]]] = {
    18: (_basic, 1, (2, 2, 2, 2)),
    34: (_basic, 1, (3, 4, 6, 3)),
    50: (_bottleneck, 4, (3, 4, 6, 3)),
    101: (_bottleneck, 4, (3, 4, 23, 3)),
    152: (_bottleneck, 4, (3, 8, 36, 3)),
}
# The number that the published code gives the RPReLU behind the sum, by expansion.
_LAST_RPRELU = {1: 3, 4: 0}
DEPTHS = tuple(_STAGES)
