"""Layers that move or select numbers without changing them."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import tf_keras as keras

from tf_n2uq.graph.graph import Ref, Step
from tf_n2uq.layers.layer_spec import InputShape, Kind, LayerSpec, register_layer
from tf_n2uq.schemes.rewrite.decomposition import Parts
from tf_n2uq.tflite.network.form import AsInKeras, FunctionForm
from tf_n2uq.tflite.network.kernel_forms import PickedPixelsForm
from tf_n2uq.tflite.network.upsampling import InterpolationForm, repeat, weights_fit

_LAYERS = keras.layers
_MOVING = LayerSpec(Kind.SAME_SCALE, form=AsInKeras())
_PADDING = dataclasses.replace(_MOVING, keeps_pixels=True)
_PICKED_PIXELS = LayerSpec(Kind.SAME_SCALE, form=PickedPixelsForm())
_REPEATED = LayerSpec(Kind.SAME_SCALE, form=FunctionForm(lambda layer, x: repeat(x, layer.size)))


def add_up_sampling(parts: Parts, size: Sequence[int], interpolation: str, source: Ref) -> Ref:
    """Adds up-sampling whose weights an integer kernel holds exactly.

    If the products of the weights of rows and columns are no integers of 8 bits, rows and columns
    have a layer each.

    Args:
        parts: gets the layers.
        size: the number of rows and of columns that one row and one column become.
        interpolation: 'nearest' or 'bilinear'.
        source: the images.

    Returns:
        The enlarged images.
    """
    rows, columns = size
    if interpolation == 'nearest' or weights_fit(size):
        return parts.add(_LAYERS.UpSampling2D(size, interpolation=interpolation), 'up', source)
    taller = _LAYERS.UpSampling2D((rows, 1), interpolation=interpolation)
    wider = _LAYERS.UpSampling2D((1, columns), interpolation=interpolation)
    return parts.add(wider, 'columns', parts.add(taller, 'rows', source))


def up_sampling_refusal(size: Sequence[int]) -> str | None:
    """Tells why images cannot be interpolated bilinearly to so many times their size.

    Args:
        size: the number of rows and of columns that one row and one column become.
    """
    if all(weights_fit((factor, 1)) for factor in size):
        return None
    return (
        f'interpolates to {size[0]}×{size[1]} times the size; expected factors with weights of 8 '
        'bits, which are even ones up to 64 and odd ones up to 127. Up-sample in several layers'
    )


def _up_sampled_by_axis(parts: Parts, step: Step) -> Ref | None:
    """Up-samples rows and columns one after the other where one kernel would not be exact."""
    size = step.layer.size
    if weights_fit(size):
        return None
    return add_up_sampling(parts, size, 'bilinear', *step.inputs)


def _interpolation_refusal(layer: keras.layers.Layer, shape: InputShape) -> str | None:
    del shape
    return up_sampling_refusal(layer.size)


_INTERPOLATED = LayerSpec(
    Kind.NEW_RANGE,
    refusal=_interpolation_refusal,
    decomposition=_up_sampled_by_axis,
    form=InterpolationForm(),
)


def _max_pooling(layer: keras.layers.Layer) -> LayerSpec:
    return _PICKED_PIXELS if layer.pool_size == (1, 1) else _MOVING


def _up_sampling(layer: keras.layers.Layer) -> LayerSpec | None:
    return {'nearest': _REPEATED, 'bilinear': _INTERPOLATED}.get(layer.interpolation)


for _layer in (
    _LAYERS.InputLayer,
    _LAYERS.MaxPooling1D,
    _LAYERS.GlobalMaxPooling1D,
    _LAYERS.GlobalMaxPooling2D,
    _LAYERS.Flatten,
    _LAYERS.Reshape,
    _LAYERS.Permute,
    _LAYERS.Cropping1D,
    _LAYERS.Cropping2D,
):
    register_layer(_layer, _MOVING)
register_layer(_LAYERS.ZeroPadding1D, _PADDING)
register_layer(_LAYERS.ZeroPadding2D, _PADDING)
register_layer(_LAYERS.MaxPooling2D, _max_pooling)
register_layer(_LAYERS.UpSampling1D, _REPEATED)
register_layer(_LAYERS.UpSampling2D, _up_sampling)
