"""The base class of the TFMOT `QuantizeConfig` of every layer with a kernel."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

from tf_n2uq.layers.layer_spec import KernelAxes, spec_of
from tf_n2uq.quantizers import KernelQuantizer, ScaledQuantizer, TensorQuantizer


class KernelQuantizeConfig(tfmot.quantization.keras.QuantizeConfig, abc.ABC):
    """A TFMOT `QuantizeConfig` for a layer with a kernel and a quantized input.

    Under a scheme of this package, the kernel goes through `kernel_quantizer`, and the layer's
    input goes through `input_quantizer`. Other schemes cannot quantize inputs, because TFMOT does
    not: under them, the layer's activation goes through `activation_quantizer`.
    """

    @abc.abstractmethod
    def kernel_quantizer(self, channel_axis: int | tuple[int, int]) -> KernelQuantizer:
        """Returns a new quantizer for a kernel.

        Args:
            channel_axis: The axis of the kernel's output channels, or both for a depthwise kernel.
        """

    @abc.abstractmethod
    def input_quantizer(self) -> ScaledQuantizer | None:
        """Returns a new quantizer for the layer's input; None if its 8-bit range is enough."""

    @abc.abstractmethod
    def activation_quantizer(self) -> ScaledQuantizer:
        """Returns a new quantizer for the layer's activation, under schemes of others."""

    def get_weights_and_quantizers(
        self, layer: keras.layers.Layer
    ) -> Sequence[tuple[tf.Variable, KernelQuantizer]]:
        return [
            (getattr(layer, attribute), self.kernel_quantizer(axis))
            for attribute, axis in _kernels_of(layer)
        ]

    def get_activations_and_quantizers(
        self, layer: keras.layers.Layer
    ) -> Sequence[tuple[Any, ScaledQuantizer]]:
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

    def get_output_quantizers(self, layer: keras.layers.Layer) -> Sequence[TensorQuantizer]:
        return []

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.get_config() == other.get_config()

    def __hash__(self) -> int:
        return hash((type(self), repr(sorted(self.get_config().items()))))

    def __repr__(self) -> str:
        arguments = ', '.join(f'{name}={value!r}' for name, value in self.get_config().items())
        return f'{type(self).__name__}({arguments})'


def _kernels_of(layer: keras.layers.Layer) -> tuple[KernelAxes, ...]:
    spec = spec_of(layer)
    if spec is None or not spec.kernels:
        raise ValueError(
            'layer: expected a layer with a kernel that can be quantized, such as a convolution or '
            f'a dense layer, got {type(layer).__name__} {layer.name!r}; annotate the layer without '
            'this config.'
        )
    return spec.kernels
