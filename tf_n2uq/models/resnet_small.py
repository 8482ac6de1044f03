"""ResNets for small images, as in the experiments of the ResNet paper on CIFAR-10."""

from __future__ import annotations

import tf_keras as keras

_layers = keras.layers


def small_resnet(
    depth: int,
    width: float,
    input_shape: tuple[int, int, int],
    classes: int,
    name: str,
) -> keras.Model:
    """Builds a float ResNet with three stages of 16, 32 and 64 filters (times `width`).

    Source: "Deep Residual Learning for Image Recognition" (CVPR 2016), section 4.2. Where a
    stage begins, the shortcut is a 1×1 convolution with batch normalization.

    Args:
        depth: 6n + 2: 8, 20, 56, 110, …
        width: The factor on the number of filters, above zero.
        input_shape: `(height, width, channels)` of the images.
        classes: The number of logits.
        name: The model's name.

    Returns:
        A Functional model from float32 images `[batch, height, width, channels]` to float32
        logits `[batch, classes]`.
    """
    blocks = (depth - 2) // 6
    image = keras.Input(input_shape, name='image')
    x = _convolution(image, max(1, round(16 * width)), 3, 1, 'stem')
    x = _layers.ReLU(name='stem_relu')(x)
    for stage in range(3):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            filters = max(1, round((16 << stage) * width))
            x = _block(x, filters, stride, f'stage{stage + 1}_block{block + 1}')
    x = _layers.GlobalAveragePooling2D(name='pool')(x)
    logits = _layers.Dense(classes, name='logits')(x)
    return keras.Model(image, logits, name=name)


def _block(x: keras.KerasTensor, filters: int, stride: int, name: str) -> keras.KerasTensor:
    shortcut = x
    if stride != 1 or x.shape[-1] != filters:
        shortcut = _convolution(x, filters, 1, stride, f'{name}_downsample')
    x = _convolution(x, filters, 3, stride, f'{name}_conv1')
    x = _layers.ReLU(name=f'{name}_relu1')(x)
    x = _convolution(x, filters, 3, 1, f'{name}_conv2')
    x = _layers.Add(name=f'{name}_add')([x, shortcut])
    return _layers.ReLU(name=f'{name}_relu2')(x)


def _convolution(
    x: keras.KerasTensor, filters: int, size: int, stride: int, name: str
) -> keras.KerasTensor:
    x = _layers.Conv2D(
        filters,
        size,
        strides=stride,
        padding='same',
        use_bias=False,
        kernel_initializer='he_normal',
        name=name,
    )(x)
    return _layers.BatchNormalization(name=f'{name}_bn')(x)
