"""Layers that change tensors in training only, such as random augmentation and dropout."""

from __future__ import annotations

import tf_keras as keras

from tf_n2uq.layers.layer_spec import InputShape, Kind, LayerSpec, register_layer
from tf_n2uq.tflite.network.form import FunctionForm

_LAYERS = keras.layers
_INACTIVE = LayerSpec(Kind.SAME_SCALE, form=FunctionForm(lambda _, x: x))


def _size_refusal(layer: keras.layers.Layer, shape: InputShape) -> str | None:
    del layer, shape
    return (
        'changes the size of images in training; expected a layer that keeps it, such as '
        'RandomZoom or RandomTranslation, or images that the data set has cropped or resized'
    )


for _layer in (
    _LAYERS.Identity,
    _LAYERS.ActivityRegularization,
    _LAYERS.AlphaDropout,
    _LAYERS.Dropout,
    _LAYERS.GaussianDropout,
    _LAYERS.GaussianNoise,
    _LAYERS.RandomBrightness,
    _LAYERS.RandomContrast,
    _LAYERS.RandomFlip,
    _LAYERS.RandomRotation,
    _LAYERS.RandomTranslation,
    _LAYERS.RandomZoom,
    _LAYERS.SpatialDropout1D,
    _LAYERS.SpatialDropout2D,
):
    register_layer(_layer, _INACTIVE)
for _layer in (_LAYERS.RandomCrop, _LAYERS.RandomHeight, _LAYERS.RandomWidth):
    register_layer(_layer, LayerSpec(Kind.SAME_SCALE, refusal=_size_refusal))
