"""Convolutions that are others: separable ones, and those of as many groups as channels."""

from __future__ import annotations

import numpy as np
import tf_keras as keras

_LAYERS = keras.layers
_PARTS = {
    _LAYERS.SeparableConv1D: (_LAYERS.DepthwiseConv1D, _LAYERS.Conv1D),
    _LAYERS.SeparableConv2D: (_LAYERS.DepthwiseConv2D, _LAYERS.Conv2D),
}


def separable_parts(
    layer: keras.layers.Layer,
) -> tuple[keras.layers.Layer, keras.layers.Layer] | None:
    """Returns a depthwise and a pointwise layer, without weights yet, or None for other layers.

    Args:
        layer: any layer; its first weight is the depthwise kernel, its others are the pointwise
            layer's.
    """
    classes = _PARTS.get(type(layer))
    if classes is None:
        return None
    depthwise = classes[0](
        layer.kernel_size,
        strides=layer.strides,
        padding=layer.padding,
        depth_multiplier=layer.depth_multiplier,
        dilation_rate=layer.dilation_rate,
        use_bias=False,
        depthwise_regularizer=layer.depthwise_regularizer,
        depthwise_constraint=layer.depthwise_constraint,
        trainable=layer.trainable,
        dtype=layer.dtype_policy,
        name=f'{layer.name}_depthwise',
    )
    pointwise = classes[1](
        layer.filters,
        1,
        use_bias=layer.use_bias,
        kernel_regularizer=layer.pointwise_regularizer,
        kernel_constraint=layer.pointwise_constraint,
        bias_regularizer=layer.bias_regularizer,
        bias_constraint=layer.bias_constraint,
        trainable=layer.trainable,
        dtype=layer.dtype_policy,
        name=f'{layer.name}_pointwise',
    )
    return depthwise, pointwise


def as_depthwise(
    layer: keras.layers.Layer, kernel: np.ndarray
) -> tuple[keras.layers.DepthwiseConv2D, np.ndarray] | None:
    """Returns the depthwise layer that a convolution with one channel per group is.

    Args:
        layer: any layer.
        kernel: its first weight.

    Returns:
        The layer, without weights yet, and its kernel; its bias is the same. None for other layers.
    """
    if type(layer) is not _LAYERS.Conv2D or layer.groups == 1 or kernel.shape[2] != 1:
        return None
    multiplier = layer.filters // layer.groups
    depthwise = _LAYERS.DepthwiseConv2D(
        layer.kernel_size,
        strides=layer.strides,
        padding=layer.padding,
        depth_multiplier=multiplier,
        dilation_rate=layer.dilation_rate,
        activation=layer.activation,
        use_bias=layer.use_bias,
        depthwise_regularizer=layer.kernel_regularizer,
        depthwise_constraint=layer.kernel_constraint,
        bias_regularizer=layer.bias_regularizer,
        bias_constraint=layer.bias_constraint,
        trainable=layer.trainable,
        dtype=layer.dtype_policy,
        name=layer.name,
    )
    return depthwise, kernel.reshape(*kernel.shape[:2], layer.groups, multiplier)
