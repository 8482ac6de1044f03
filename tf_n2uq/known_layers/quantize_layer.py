"""The layer that quantizes what passes through it."""

from __future__ import annotations

from tf_n2uq.layers import Quantize
from tf_n2uq.layers.layer_spec import Kind, LayerSpec, register_layer

# The integer network has comparators or a range in its place.
register_layer(Quantize, LayerSpec(Kind.QUANTIZE))
