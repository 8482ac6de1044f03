"""A separable convolution as the two that it is made of."""

from __future__ import annotations

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
