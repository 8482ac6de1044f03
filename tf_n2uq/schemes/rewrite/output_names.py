"""The names of a quantized model's outputs, which are those of the float model."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
import tf_keras as keras

from tf_n2uq._compat.keras_layers import rename
from tf_n2uq.graph.graph import Graph


def name_outputs(graph: Graph, names: Sequence[str]) -> None:
    """Gives the outputs of a rewritten graph the names that they have in the float model.

    Keras calls an output as its last layer, and users address losses, metrics and labels by these
    names. So the last layer, such as a range, takes the name. A layer that has this name already
    gets `quant_` in front, as wrapped layers have.

    An output that is an input of the model keeps the name of its range, because Keras allows no
    other layer the name of an input. A layer that is called several times keeps its own name.

    Args:
        graph: the rewritten graph. Its layers are in no model yet.
        names: the names of the outputs in the float model, flat, as `model.output_names`.
    """
    holders = {step.layer.name: step.layer for step in graph}
    named: set[int] = set()
    for ref, name in zip(tf.nest.flatten(graph.outputs), names, strict=True):
        layer, holder = graph.producer(ref).layer, holders.get(name)
        is_input = isinstance(holder, keras.layers.InputLayer)
        is_shared = sum(step.layer is layer for step in graph) > 1
        if id(layer) in named or layer is holder or is_input or is_shared:
            continue
        named.add(id(layer))
        if holder is not None:
            _take(holders, holder, _free_name(holders, f'quant_{name}'))
        _take(holders, layer, name)


def _take(holders: dict[str, keras.layers.Layer], layer: keras.layers.Layer, name: str) -> None:
    holders.pop(layer.name, None)
    rename(layer, name)
    holders[name] = layer


def _free_name(holders: dict[str, keras.layers.Layer], name: str) -> str:
    candidate, count = name, 0
    while candidate in holders:
        count += 1
        candidate = f'{name}_{count}'
    return candidate
