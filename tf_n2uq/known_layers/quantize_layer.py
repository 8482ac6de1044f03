"""The layer that quantizes a tensor."""

from __future__ import annotations

from tf_n2uq.layers import Quantize
from tf_n2uq.layers.layer_spec import Kind, LayerSpec, register_layer

# An integer file has comparators or a range in place of this layer.
register_layer(Quantize, LayerSpec(Kind.QUANTIZE))
