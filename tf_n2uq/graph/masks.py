"""Masks of Keras, which some layers make for sequences of different lengths and others read."""

from __future__ import annotations

from collections.abc import Collection

import tf_keras as keras

from tf_n2uq.graph.graph import Graph


def check_no_masks(graph: Graph, readers: Collection[str]) -> None:
    """Refuses masks that layers read which cannot get them.

    Args:
        graph: the graph of a model.
        readers: the names of the steps that must not read a mask.

    Raises:
        ValueError: if a mask reaches one of them. The message names the layer, and the layer that
            makes the mask.
    """
    makers: dict[str, str] = {}
    for step in graph.in_order():
        found = [makers[ref.step] for ref in step.inputs if ref.step in makers]
        if found and step.name in readers:
            raise ValueError(
                f'model: expected no masks, which quantized layers and files do not pass on, got '
                f'one that layer {found[0]!r} makes and layer {step.name!r} reads. Build '
                f'{found[0]!r} without a mask, as with mask_zero=False, and give sequences of one '
                'length.'
            )
        if _makes_mask(step.layer):
            makers[step.name] = step.name
        elif found and _passes_mask(step.layer):
            makers[step.name] = found[0]


def _makes_mask(layer: keras.layers.Layer) -> bool:
    return isinstance(layer, keras.layers.Masking) or bool(getattr(layer, 'mask_zero', False))


def _passes_mask(layer: keras.layers.Layer) -> bool:
    # A recurrent layer that returns its last state alone needs no mask behind it.
    return layer.supports_masking and getattr(layer, 'return_sequences', True)
