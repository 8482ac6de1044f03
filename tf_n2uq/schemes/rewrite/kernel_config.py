"""What every method's TFMOT `QuantizeConfig` has in common."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

_LAYERS = keras.layers
_Quantizer = tfmot.quantization.keras.quantizers.Quantizer

# Attribute of the kernel, and its axes that are output channels.
_DEPTHWISE: tuple[str, int | tuple[int, int]] = ('depthwise_kernel', (-2, -1))
_KERNELS: dict[type, list[tuple[str, int | tuple[int, int]]]] = {
    _LAYERS.Conv1D: [('kernel', -1)],
    _LAYERS.Conv2D: [('kernel', -1)],
    _LAYERS.Conv2DTranspose: [('kernel', -2)],
    _LAYERS.Dense: [('kernel', -1)],
    _LAYERS.DepthwiseConv1D: [_DEPTHWISE],
    _LAYERS.DepthwiseConv2D: [_DEPTHWISE],
    _LAYERS.SeparableConv1D: [_DEPTHWISE, ('pointwise_kernel', -1)],
    _LAYERS.SeparableConv2D: [_DEPTHWISE, ('pointwise_kernel', -1)],
}


class KernelQuantizeConfig(tfmot.quantization.keras.QuantizeConfig, abc.ABC):
    """A TFMOT `QuantizeConfig` for a layer with a kernel and a quantized input.

    Under a scheme of this project, the kernel goes through `kernel_quantizer` and the layer's
    input through `input_quantizer`. Under any other scheme, TFMOT cannot quantize inputs: then
    the layer's activation goes through `input_quantizer`'s function instead.
    """

    @abc.abstractmethod
    def kernel_quantizer(self, channel_axis: int | tuple[int, int]) -> _Quantizer:
        """Returns a new quantizer for a kernel with these output channel axes."""

    @abc.abstractmethod
    def input_quantizer(self) -> _Quantizer | None:
        """Returns a new quantizer for the layer's input; None if its 8-bit range is enough."""

    @abc.abstractmethod
    def activation_quantizer(self) -> _Quantizer:
        """Returns a new quantizer for the layer's activation, for schemes of others."""

    def get_weights_and_quantizers(
        self, layer: keras.layers.Layer
    ) -> Sequence[tuple[tf.Variable, _Quantizer]]:
        return [
            (getattr(layer, attribute), self.kernel_quantizer(axis))
            for attribute, axis in _kernels_of(layer)
        ]

    def get_activations_and_quantizers(
        self, layer: keras.layers.Layer
    ) -> Sequence[tuple[Any, _Quantizer]]:
        if not hasattr(layer, 'activation'):
            return []
        return [(layer.activation, self.activation_quantizer())]

    def set_quantize_weights(
        self, layer: keras.layers.Layer, quantize_weights: Sequence[tf.Tensor]
    ) -> None:
        for (attribute, _), kernel in zip(_kernels_of(layer), quantize_weights, strict=True):
            setattr(layer, attribute, kernel)

    def set_quantize_activations(
        self, layer: keras.layers.Layer, quantize_activations: Sequence[Any]
    ) -> None:
        if quantize_activations:
            (layer.activation,) = quantize_activations

    def get_output_quantizers(self, layer: keras.layers.Layer) -> Sequence[_Quantizer]:
        return []

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.get_config() == other.get_config()

    def __hash__(self) -> int:
        return hash((type(self), repr(sorted(self.get_config().items()))))

    def __repr__(self) -> str:
        arguments = ', '.join(f'{name}={value!r}' for name, value in self.get_config().items())
        return f'{type(self).__name__}({arguments})'


def _kernels_of(layer: keras.layers.Layer) -> list[tuple[str, int | tuple[int, int]]]:
    kernels = _KERNELS.get(type(layer))
    if kernels is None:
        known = ', '.join(kind.__name__ for kind in _KERNELS)
        raise ValueError(
            f'layer: expected a layer with a kernel that can be quantized ({known}), got '
            f'{type(layer).__name__} {layer.name!r}. Annotate it without this config.'
        )
    return kernels
