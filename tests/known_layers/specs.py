"""The entry of a layer in the registry of known layers."""

from __future__ import annotations

import tf_keras as keras

from tf_n2uq.layers.layer_spec import LayerSpec, spec_of


def known_spec(layer: keras.layers.Layer) -> LayerSpec:
    """Returns the spec of a layer, which must be a known one."""
    spec = spec_of(layer)
    assert spec is not None, f'{type(layer).__name__} is not known'
    return spec
