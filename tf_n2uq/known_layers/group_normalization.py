"""Group normalization, taken apart into layers that an integer file has operators for."""

from __future__ import annotations

import tf_keras as keras

from tf_n2uq.graph.graph import Ref, Step
from tf_n2uq.known_layers.layer_normalization import add_affine
from tf_n2uq.layers import ChannelMean, InverseDeviation
from tf_n2uq.layers.layer_spec import InputShape, Kind, LayerSpec, is_last_axis, register_layer
from tf_n2uq.schemes.rewrite.decomposition import Parts

_LAYERS = keras.layers
_AVERAGES = {3: _LAYERS.GlobalAveragePooling1D, 4: _LAYERS.GlobalAveragePooling2D}


def _group_normalization(parts: Parts, step: Step) -> Ref:
    """Computes a mean and a variance per group, and spreads them over the channels of the group.

    Source: Wu and He, "Group Normalization", ECCV 2018, equation 7.
    """
    shape, (source,) = step.input_shape, step.inputs
    groups = step.layer.groups if step.layer.groups != -1 else shape[-1]

    def mean_of(name: str, ref: Ref) -> Ref:
        """Adds the mean of each group, `[batch, groups, 1]`."""
        average = _AVERAGES.get(len(shape))
        if average is not None:
            ref = parts.add(average(), f'{name}_pooled', ref)
        grouped = _LAYERS.Reshape((groups, shape[-1] // groups))
        return parts.add(ChannelMean(), name, parts.add(grouped, f'{name}_grouped', ref))

    def spread(name: str, ref: Ref) -> Ref:
        """Repeats the number of each group for its channels, in a shape that broadcasts."""
        # Groups stand for rows of an image: an untrusted file may have no `UpSampling1D`.
        rows = parts.add(_LAYERS.Reshape((groups, 1, 1)), f'{name}_rows', ref)
        copies = _LAYERS.UpSampling2D((shape[-1] // groups, 1))
        repeated = parts.add(copies, f'{name}_repeated', rows)
        per_channel = _LAYERS.Reshape((*[1] * (len(shape) - 2), shape[-1]))
        return parts.add(per_channel, f'{name}_spread', repeated)

    mean = spread('mean', mean_of('mean', source))
    centered = parts.add(_LAYERS.Subtract(), 'centered', source, mean)
    square = parts.add(_LAYERS.Multiply(), 'square', centered, centered)
    variance = mean_of('variance', square)
    inverse = parts.add(InverseDeviation(step.layer.epsilon), 'inverse_deviation', variance)
    normalized = parts.add(
        _LAYERS.Multiply(), 'normalized', centered, spread('inverse_deviation', inverse)
    )
    return add_affine(parts, step, normalized)


def _refusal(layer: keras.layers.Layer, shape: InputShape) -> str | None:
    if not is_last_axis(layer.axis, shape):
        return f'has groups along axis {layer.axis}; expected the last axis, that of the channels'
    if shape is not None and len(shape) not in (2, *_AVERAGES):
        return f'reads a tensor of {len(shape)} axes; expected a batch of vectors, series or images'
    return None


register_layer(
    _LAYERS.GroupNormalization,
    LayerSpec(Kind.NEW_RANGE, refusal=_refusal, decomposition=_group_normalization),
)
