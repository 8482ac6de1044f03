"""Layers that merge several tensors."""

from __future__ import annotations

import tensorflow as tf
import tf_keras as keras

from tf_n2uq.graph.graph import Ref, Step
from tf_n2uq.layers.layer_spec import InputShape, Kind, LayerSpec, register_layer
from tf_n2uq.schemes.rewrite.decomposition import Parts
from tf_n2uq.tflite.network.extremes import ExtremeForm
from tf_n2uq.tflite.network.form import AsInKeras
from tf_n2uq.tflite.network.line_form import InOneRangeForm
from tf_n2uq.tflite.network.operators import concatenate

_LAYERS = keras.layers


def _in_pairs(parts: Parts, step: Step) -> Ref | None:
    """Merges more than two tensors one after the other; leaves two tensors as they are."""
    if len(step.inputs) <= 2:
        return None
    return _chained(parts, type(step.layer), step.inputs)


def _average(parts: Parts, step: Step) -> Ref:
    total = _chained(parts, _LAYERS.Add, step.inputs)
    return parts.add(_LAYERS.Rescaling(1 / len(step.inputs)), 'mean', total)


def _chained(parts: Parts, layer: type[keras.layers.Layer], inputs: list[Ref]) -> Ref:
    result, *rest = inputs
    for number, ref in enumerate(rest):
        result = parts.add(layer(), str(number), result, ref)
    return result


def _joined(layer: keras.layers.Layer, parts: list[tf.Tensor]) -> tf.Tensor:
    return concatenate(parts, layer.axis)


def _concatenation_refusal(layer: keras.layers.Layer, shape: InputShape) -> str | None:
    rank = len(shape[0]) if isinstance(shape, list) else None
    if layer.axis == 0 or (rank is not None and layer.axis == -rank):
        return (
            'joins images of a batch (axis 0); expected any other axis, as a file computes each '
            'image by itself'
        )
    return None


register_layer(
    _LAYERS.Add,
    LayerSpec(Kind.SUM, takes_on_relu=True, decomposition=_in_pairs, form=AsInKeras()),
)
register_layer(_LAYERS.Subtract, LayerSpec(Kind.SUM, takes_on_relu=True, form=AsInKeras()))
register_layer(_LAYERS.Multiply, LayerSpec(Kind.PRODUCT, decomposition=_in_pairs, form=AsInKeras()))
register_layer(_LAYERS.Average, LayerSpec(Kind.NEW_RANGE, decomposition=_average))
register_layer(
    _LAYERS.Concatenate,
    LayerSpec(Kind.NEW_RANGE, refusal=_concatenation_refusal, form=InOneRangeForm(_joined)),
)
for _layer, _is_maximum in ((_LAYERS.Maximum, True), (_LAYERS.Minimum, False)):
    register_layer(
        _layer,
        LayerSpec(Kind.NEW_RANGE, decomposition=_in_pairs, form=ExtremeForm(_is_maximum)),
    )
