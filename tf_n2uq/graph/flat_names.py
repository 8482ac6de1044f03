"""Names for the layers of a model and of the models inside of it."""

from __future__ import annotations

from collections.abc import Mapping

import tf_keras as keras

from tf_n2uq._compat.keras_models import nodes_in_order
from tf_n2uq._compat.tfmot import QuantizeAnnotate
from tf_n2uq.graph.checks import check_model


def flat_names(
    model: keras.Model, networks: Mapping[int, keras.Model] | None = None
) -> dict[int, str]:
    """Returns a unique name for each layer, by the id of the layer.

    Layers of outer models choose their names before those of inner models. A layer of an inner
    model whose name is taken gets the inner model's name in front.

    Args:
        model: a built Sequential or Functional model.
        networks: models in the place of custom layers, by the id of the layer.

    Raises:
        ValueError: if an inner model is subclassed or not built.
    """
    names: dict[int, str] = {}
    taken: set[str] = set()
    level = [model]
    while level:
        inner_models = []
        for parent in level:
            called = [node.layer for node in nodes_in_order(parent)]
            for layer in [(networks or {}).get(id(layer), layer) for layer in called]:
                if isinstance(layer, keras.Model):
                    check_model(layer, f'model: inner model {layer.name!r}')
                    inner_models.append(layer)
                elif id(layer) not in names and (parent is model or not _is_input(layer)):
                    names[id(layer)] = _free_name(layer, parent, taken)
                    taken.add(names[id(layer)])
        level = inner_models
    return names


def _free_name(layer: keras.layers.Layer, parent: keras.Model, taken: set[str]) -> str:
    own = layer.layer.name if isinstance(layer, QuantizeAnnotate) else layer.name
    candidate = own if own not in taken else f'{parent.name}_{own}'
    count = 0
    while candidate in taken:
        count += 1
        candidate = f'{parent.name}_{own}_{count}'
    return candidate


def _is_input(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, keras.layers.InputLayer)
