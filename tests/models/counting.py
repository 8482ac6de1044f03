"""Counts of a network's layers and numbers."""

from __future__ import annotations

import numpy as np
import tf_keras as keras


def trainable(model: keras.Model) -> int:
    """Counts trainable numbers as PyTorch does, where moving averages are buffers."""
    return sum(np.size(weight) for weight in model.trainable_weights)


def of_kind(model: keras.Model, *kinds: type) -> list[keras.layers.Layer]:
    """Returns the layers of some classes, in the order of the model."""
    return [layer for layer in model.layers if isinstance(layer, kinds)]
