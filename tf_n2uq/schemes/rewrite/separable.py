"""Replacing of separable convolutions, and of convolutions with as many groups as channels."""

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
    """Returns the two layers that a separable convolution consists of.

    Args:
        layer: any layer. The first weight of a separable convolution belongs to the depthwise
            layer, and its other weights belong to the pointwise layer.

    Returns:
        A depthwise and a pointwise layer, which are not built; None for any other layer.
    """
    classes = _PARTS.get(type(layer))
    if classes is None:
        return None
    depthwise = classes[0](
        layer.kernel_size,
        strides=layer.strides,
        # Keras has causal padding for no depthwise convolution: `causal_padding` is in front.
        padding='valid' if layer.padding == 'causal' else layer.padding,
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
        activity_regularizer=layer.activity_regularizer,
        bias_constraint=layer.bias_constraint,
        trainable=layer.trainable,
        dtype=layer.dtype_policy,
        name=f'{layer.name}_pointwise',
    )
    return depthwise, pointwise


def causal_padding(layer: keras.layers.Layer) -> keras.layers.ZeroPadding1D | None:
    """Returns the zeros in front of a causal separable convolution; None for any other padding.

    Args:
        layer: a separable convolution.
    """
    if layer.padding != 'causal':
        return None
    before = layer.dilation_rate[0] * (layer.kernel_size[0] - 1)
    return _LAYERS.ZeroPadding1D((before, 0), name=f'{layer.name}_padding')


def as_depthwise(
    layer: keras.layers.Layer, kernel: np.ndarray
) -> tuple[keras.layers.DepthwiseConv2D, np.ndarray] | None:
    """Returns the depthwise layer that computes a convolution with one channel per group.

    Args:
        layer: any layer.
        kernel: the first weight of the layer, `[height, width, channels per group, filters]`.

    Returns:
        A depthwise layer, which is not built, and its kernel `[height, width, channels,
        multiplier]`; the bias is that of `layer`. None for any other layer.
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
        activity_regularizer=layer.activity_regularizer,
        bias_constraint=layer.bias_constraint,
        trainable=layer.trainable,
        dtype=layer.dtype_policy,
        name=layer.name,
    )
    return depthwise, kernel.reshape(*kernel.shape[:2], layer.groups, multiplier)
