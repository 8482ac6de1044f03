"""This package's own layers that move or select numbers without changing them."""

from __future__ import annotations

import tf_keras as keras

from tf_n2uq.layers import DepthToSpace, Slice, SpaceToDepth
from tf_n2uq.layers.layer_spec import InputShape, Kind, LayerSpec, register_layer
from tf_n2uq.tflite.network.form import FunctionForm
from tf_n2uq.tflite.network.pixels import to_channels, to_pixels
from tf_n2uq.tflite.network.slicing import group_start, run_slice


def _slice_refusal(layer: keras.layers.Layer, shape: InputShape) -> str | None:
    if shape is None:
        return None
    parts = zip(shape[1:], layer.starts, layer.counts, layer.steps, strict=True)
    for axis, (size, start, count, step) in enumerate(parts, start=1):
        if count is None or count == 1 or step == 1 or size is None:
            continue
        if group_start(size, start, count, step) is None:
            return (
                f'takes each number {step} of {size} along axis {axis}; expected a size that is a '
                f'multiple of {step}, because XNNPACK takes slices of step 1 only. Pad the axis '
                'with zeros in front of the layer'
            )
    return None


register_layer(
    DepthToSpace,
    LayerSpec(
        Kind.SAME_SCALE,
        form=FunctionForm(lambda layer, x: to_pixels(x, (layer.block_size, layer.block_size))),
    ),
)
register_layer(
    SpaceToDepth,
    LayerSpec(
        Kind.SAME_SCALE,
        form=FunctionForm(lambda layer, x: to_channels(x, (layer.block_size, layer.block_size))),
    ),
)
register_layer(
    Slice, LayerSpec(Kind.SAME_SCALE, refusal=_slice_refusal, form=FunctionForm(run_slice))
)
