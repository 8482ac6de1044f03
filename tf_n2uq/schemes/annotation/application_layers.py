"""Replacements for layers that modules of `tf_keras.applications` define for themselves.

Such layers are in no public module and are not registered. So a model with these layers does not
load without custom objects, and the schemes do not know the layers.
"""

from __future__ import annotations

from typing import Any

import tf_keras as keras

from tf_n2uq._compat.keras_layers import CustomScaleLayer, LayerScale, StochasticDepth
from tf_n2uq.graph.graph import Graph, Step
from tf_n2uq.layers import ChannelScale


def replace_application_layers(graph: Graph) -> None:
    """Replaces such layers by layers that the schemes know, in place. Steps keep their names.

    - ConvNeXt's `LayerScale` becomes `tf_n2uq.layers.ChannelScale`.
    - ConvNeXt's `StochasticDepth` becomes a `Dropout` of whole images.
    - InceptionResNetV2's `CustomScaleLayer` becomes a `Rescaling` and an `Add`.
    """
    _replace_layer_scales(graph)
    for step in graph:
        if type(step.layer) is StochasticDepth:
            step.layer = _dropout_of_images(step)
        elif type(step.layer) is CustomScaleLayer:
            _split_scaled_sum(graph, step)


def _replace_layer_scales(graph: Graph) -> None:
    scales: dict[int, keras.layers.Layer] = {}
    for step in graph:
        if type(step.layer) is LayerScale:
            # A layer that is called several times stays one layer.
            scale = scales.setdefault(id(step.layer), ChannelScale(**_common(step.layer)))
            step.layer = scale
            step.restore = [(scale, arrays) for _, arrays in step.restore]


def _dropout_of_images(step: Step) -> keras.layers.Dropout:
    per_image = (None, *[1] * (len(step.input_shape) - 1))
    return keras.layers.Dropout(
        step.layer.drop_path_rate, noise_shape=per_image, **_common(step.layer)
    )


def _split_scaled_sum(graph: Graph, step: Step) -> None:
    layer, (shortcut, branch) = step.layer, step.inputs
    common = _common(layer)
    step.replace(keras.layers.Add(**common), [shortcut, branch])
    common['name'] = f'{layer.name}_scale'
    scaled = graph.insert_before(step, branch, keras.layers.Rescaling(layer.scale, **common))
    scaled.origin = step.origin


def _common(layer: keras.layers.Layer) -> dict[str, Any]:
    return dict(name=layer.name, trainable=layer.trainable, dtype=layer.dtype_policy.name)
