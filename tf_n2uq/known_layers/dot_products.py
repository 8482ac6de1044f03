"""Attention, whose products and softmax no integer operator of XNNPACK computes."""

from __future__ import annotations

import tf_keras as keras

from tf_n2uq.layers import DotProductAttention
from tf_n2uq.layers.layer_spec import InputShape, Kind, LayerSpec, register_layer


def _refusal(layer: keras.layers.Layer, shape: InputShape) -> str | None:
    del layer, shape
    return (
        'multiplies tensors and makes a softmax of them, for which XNNPACK has no integer '
        'operators; expected allow_float=True, with which this layer alone stays in float'
    )


register_layer(DotProductAttention, LayerSpec(Kind.NEW_RANGE, refusal=_refusal))
