"""Weights of Keras 3 for the layers of tf_keras that were built for them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tf_n2uq.keras3.entry import Entry
from tf_n2uq.keras3.network import Pair
from tf_n2uq.keras3.weight_store import WeightStore, inner_layers


def give_weights(pairs: Iterable[Pair]) -> None:
    """Gives layers the weights that their counterparts have.

    Args:
        pairs: built layers, with the weights of their counterparts.

    Raises:
        TranslationError: if a layer has other variables than its counterpart.
    """
    given: set[Any] = set()
    for pair in pairs:
        identity = pair.store.identity
        if identity is None or identity not in given:
            _give(pair.entry, pair.layer, pair.store)
            given.add(identity)


def _give(entry: Entry, layer: Any, store: WeightStore) -> None:
    arrays = store.own()
    try:
        layer.load_own_variables({key: np.asarray(value) for key, value in arrays.items()})
    except (KeyError, ValueError) as error:
        shapes = [value.shape for _, value in sorted(arrays.items())]
        raise entry.refusal(
            f'has weights of the shapes {shapes}, which tf_keras does not take ({error})',
            'save the weights again with the model that has this layer',
        ) from error
    for inner, inner_store in inner_layers(layer, store):
        _give(entry, inner, inner_store)
