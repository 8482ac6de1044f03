"""Layers that move or select numbers without changing them."""

from __future__ import annotations

import dataclasses

import tf_keras as keras

from tf_n2uq.layers.layer_spec import Kind, LayerSpec, register_layer
from tf_n2uq.tflite.network.form import AsInKeras
from tf_n2uq.tflite.network.kernel_forms import PickedPixelsForm
from tf_n2uq.tflite.network.upsampling import InterpolationForm, RepeatForm

_LAYERS = keras.layers
_MOVING = LayerSpec(Kind.SAME_SCALE, form=AsInKeras())
_PADDING = dataclasses.replace(_MOVING, keeps_pixels=True)
_PICKED_PIXELS = LayerSpec(Kind.SAME_SCALE, form=PickedPixelsForm())
_REPEATED = LayerSpec(Kind.SAME_SCALE, form=RepeatForm())
_INTERPOLATED = LayerSpec(Kind.NEW_RANGE, form=InterpolationForm())


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
