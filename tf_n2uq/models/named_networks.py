"""Builds networks by their names, in float or quantized."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow_model_optimization as tfmot
import tf_keras as keras

from tf_n2uq.models.mobilenet_v1 import mobilenet_v1
from tf_n2uq.models.mobilenet_v2 import CLIPPED, mobilenet_v2
from tf_n2uq.models.mobilenet_v2_relu import mobilenet_v2_relu
from tf_n2uq.models.resnet_imagenet import DEPTHS, imagenet_resnet
from tf_n2uq.models.resnet_small import small_resnet
from tf_n2uq.schemes import N2UQPACTQuantizeConfig, N2UQScheme

_keras = tfmot.quantization.keras


@dataclasses.dataclass(frozen=True)
class _Network:
    """A network that has a name.

    Attributes:
        build: A function of width, input shape, number of classes and name that returns the float
            network.
        as_published: Whether the first convolution, the last dense layer, and all tensors but the
            inputs of convolutions stay in float, as in N2UQ's published networks.
        clipped: The name of the layer whose input PACT clips, or None.
    """

    build: Callable[[float, tuple[int, int, int], int, str], keras.Model]
    as_published: bool
    clipped: str | None = None


def _resnet(builder: Callable[..., keras.Model], depth: int, as_published: bool) -> _Network:
    return _Network(lambda *arguments: builder(depth, *arguments), as_published)


_NETWORKS = {
    **{f'resnet{depth}': _resnet(imagenet_resnet, depth, True) for depth in DEPTHS},
    'mobilenet_v2': _Network(mobilenet_v2, as_published=True, clipped=CLIPPED),
    'mobilenet_v1': _Network(mobilenet_v1, as_published=False),
    'mobilenet_v2_relu': _Network(mobilenet_v2_relu, as_published=False),
    **{f'resnet{depth}': _resnet(small_resnet, depth, False) for depth in (20, 56, 110, 8)},
}


def build(
    name: str,
    bits: int | None = None,
    quantize_downsample: bool = True,
    input_shape: tuple[int, int, int] = (224, 224, 3),
    classes: int = 1000,
    width: float = 1.0,
) -> keras.Model:
    """Builds a network with fresh weights.

    Args:
        name: `resnet18`, `resnet34`, `resnet50`, `resnet101`, `resnet152` or `mobilenet_v2`, for
            ImageNet and as N2UQ publishes them; `mobilenet_v1` or `mobilenet_v2_relu`, for
            ImageNet with plain ReLUs, as AdaBits has them; `resnet20`, `resnet56` or `resnet110`
            (for images around 32×32), or `resnet8`, their smaller sibling.
        bits: None for the float network; 2..8 (of `mobilenet_v2` 2..7) for the network after
            `quantize_apply` with `N2UQScheme(bits)`. The published networks keep their first
            convolution, last dense layer and all tensors between the layers in float
            (`boundary_bits=None, tensor_bits=None`). The others have 8 bits there.
        quantize_downsample: Whether the 1×1 convolutions of the shortcuts are quantized to `bits`
            too. Otherwise they stay in float. The float network and networks without such
            convolutions, which MobileNets are, are the same either way.
        input_shape: `(height, width, channels)` of the images.
        classes: The number of logits.
        width: The factor on the number of filters, finite and above zero. A factor of 0.5 is half
            width.

    Returns:
        A model from float32 images `[batch, height, width, channels]` to float32 logits
        `[batch, classes]`.

    Raises:
        TypeError: `bits` is neither None nor an integer.
        ValueError: The name is not known, or an argument is out of its range.
    """
    if name not in _NETWORKS:
        raise ValueError(
            f'name: expected one of {", ".join(_NETWORKS)}, got {name!r}. Give one of these.'
        )
    if not _is_shape(input_shape):
        raise ValueError(
            f'input_shape: expected (height, width, channels) > 0, got {input_shape!r}. Give three '
            'positive integers.'
        )
    if not _is_positive_integer(classes):
        raise ValueError(
            f'classes: expected a number of classes ≥ 1, got {classes!r}. Give a positive integer.'
        )
    if not _is_factor(width):
        raise ValueError(
            f'width: expected a finite factor > 0, got {width!r}. Give 1.0 for full width.'
        )
    network = _NETWORKS[name]
    model = network.build(float(width), input_shape, int(classes), name)
    return model if bits is None else _quantize(model, network, bits, quantize_downsample)


def _is_positive_integer(value: Any) -> bool:
    is_integer = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    return is_integer and bool(value > 0)


def _is_factor(value: Any) -> bool:
    is_number = isinstance(value, (int, float, np.integer, np.floating))
    return is_number and not isinstance(value, bool) and 0 < value < math.inf


def _is_shape(value: Any) -> bool:
    if not isinstance(value, (tuple, list)) or len(value) != 3:
        return False
    return all(_is_positive_integer(size) for size in value)


def _quantize(
    model: keras.Model, network: _Network, bits: int, quantize_downsample: bool
) -> keras.Model:
    has_shortcuts = any(layer.name.endswith('_downsample') for layer in model.layers)
    in_float = has_shortcuts and not quantize_downsample
    elsewhere = None if network.as_published else 8
    scheme = N2UQScheme(
        bits=bits,
        boundary_bits=elsewhere,
        tensor_bits=elsewhere,
        layers={r'.*_downsample': None} if in_float else {},
    )
    if network.clipped is not None:
        model = _annotate(model, network.clipped, N2UQPACTQuantizeConfig(bits))
    annotated = _keras.quantize_annotate_model(model)
    return _keras.quantize_apply(annotated, scheme=scheme)


def _annotate(
    model: keras.Model, name: str, config: tfmot.quantization.keras.QuantizeConfig
) -> keras.Model:
    """Copies a model with one layer annotated."""

    def copy(layer: keras.layers.Layer) -> keras.layers.Layer:
        if layer.name != name:
            return layer
        return _keras.quantize_annotate_layer(layer, config)

    return keras.models.clone_model(model, clone_function=copy)
