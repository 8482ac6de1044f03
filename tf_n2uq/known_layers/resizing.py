"""`Resizing` to the nearest pixel or bilinearly, taken apart into layers with operators."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.graph.graph import Ref, Step
from tf_n2uq.known_layers.moving import add_up_sampling, up_sampling_refusal
from tf_n2uq.layers.layer_spec import InputShape, Kind, LayerSpec, register_layer
from tf_n2uq.layers.resize_axis import WEIGHT_PARTS, ResizeAxis
from tf_n2uq.schemes.rewrite.decomposition import Parts
from tf_n2uq.tflite.network.form import IntegerCall
from tf_n2uq.tflite.network.kernels import IntegerKernel
from tf_n2uq.tflite.network.operators import run_dense

_LAYERS = keras.layers
_METHODS = ('nearest', 'bilinear')


def _resizing(parts: Parts, step: Step) -> Ref:
    """Makes an `UpSampling2D` if both sizes grow by whole numbers, else resizes axis by axis."""
    layer, (ref,) = step.layer, step.inputs
    before, after = step.input_shape[1:3], (layer.height, layer.width)
    factors = [new // old for old, new in zip(before, after, strict=True)]
    grows = all(old * f == new for old, new, f in zip(before, after, factors, strict=True))
    if grows and factors != [1, 1] and _fits(factors, layer.interpolation):
        return add_up_sampling(parts, factors, layer.interpolation, ref)
    for axis, (old, new) in enumerate(zip(before, after, strict=True), start=1):
        if old != new:
            sources, shares = _places(old, new, layer.interpolation)
            ref = parts.add(ResizeAxis(axis, sources, shares), f'axis_{axis}', ref)
    return ref


def _fits(factors: list[int], interpolation: str) -> bool:
    return interpolation == 'nearest' or up_sampling_refusal(factors) is None


def _places(old: int, new: int, interpolation: str) -> tuple[list[int], list[int]]:
    """Returns where the centers of the new pixels lie among the old ones.

    Returns:
        `sources` and `parts` as `ResizeAxis` takes them.
    """
    centers = (np.arange(new) + 0.5) * (old / new)
    if interpolation == 'nearest':
        return np.floor(centers).astype(int).tolist(), [0] * new
    # Beyond the centers of its outer pixels, an image keeps the values of these pixels.
    places = np.clip(centers - 0.5, 0, old - 1)
    sources = np.floor(places).astype(int)
    shares = np.rint((places - sources) * WEIGHT_PARTS).astype(int)
    shares[sources == old - 1] = 0
    return sources.tolist(), shares.tolist()


def _refusal(layer: keras.layers.Layer, shape: InputShape) -> str | None:
    if layer.interpolation not in _METHODS:
        return (
            f'resizes with interpolation={layer.interpolation!r}; expected one of '
            f'{", ".join(map(repr, _METHODS))}'
        )
    if shape is None:
        return None
    if len(shape) != 4 or None in shape[1:3]:
        return f'resizes a tensor of shape {shape}; expected a batch of images of a known size'
    if layer.crop_to_aspect_ratio and shape[1] * layer.width != shape[2] * layer.height:
        return (
            f'crops images of {shape[1]}×{shape[2]} to the aspect ratio of '
            f'{layer.height}×{layer.width}; expected crop_to_aspect_ratio=False. Crop with a '
            'Cropping2D in front of it'
        )
    return None


class ResizeAxisForm:
    """Runs a `ResizeAxis` as a 1×1 convolution, with the axis in the place of the channels."""

    def kernels(self, call: IntegerCall) -> dict[str, IntegerKernel]:
        """Returns the weights as a kernel, exactly."""
        matrix = call.layer.matrix(call.input_shapes[0][call.layer.axis])
        results = matrix.shape[1]
        kernel = IntegerKernel(matrix, np.full(results, 1 / WEIGHT_PARTS), np.zeros(results))
        source = call.sources[0].range
        result = source if _only_selects(call.layer) else call.written()
        return {'': kernel.representable(source.scale, result.scale)}

    def run(
        self, call: IntegerCall, inputs: list[tf.Tensor], kernels: Mapping[str, IntegerKernel]
    ) -> tf.Tensor:
        """Multiplies by the weights along the axis."""
        order = [0, 3, 2, 1] if call.layer.axis == 1 else [0, 1, 3, 2]
        outputs = run_dense(tf.transpose(inputs[0], order), kernels[''])
        result = call.sources[0].range if _only_selects(call.layer) else call.written()
        # The operator writes in the range before its axes move.
        return tf.transpose(result.quantize(outputs), order)


def _only_selects(layer: ResizeAxis) -> bool:
    return not any(layer.parts)


_SELECTED = LayerSpec(Kind.SAME_SCALE, form=ResizeAxisForm())
_INTERPOLATED = LayerSpec(Kind.NEW_RANGE, form=ResizeAxisForm())


def _resize_axis(layer: ResizeAxis) -> LayerSpec:
    return _SELECTED if _only_selects(layer) else _INTERPOLATED


def _resizing_spec(layer: keras.layers.Layer) -> LayerSpec:
    kind = Kind.SAME_SCALE if layer.interpolation == 'nearest' else Kind.NEW_RANGE
    return LayerSpec(kind, refusal=_refusal, decomposition=_resizing)


register_layer(_LAYERS.Resizing, _resizing_spec)
register_layer(ResizeAxis, _resize_axis)
