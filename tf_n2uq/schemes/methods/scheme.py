"""The base class of the quantization schemes of all methods."""

from __future__ import annotations

import abc
import re
from collections.abc import Mapping

import tensorflow_model_optimization as tfmot
import tf_keras as keras

from tf_n2uq.layers import Deployment
from tf_n2uq.layers.layer_spec import Kind, kind_of
from tf_n2uq.quantizers.bits import check_bits
from tf_n2uq.schemes.rewrite.kernel_config import KernelQuantizeConfig
from tf_n2uq.schemes.rewrite.layout_transform import LowBitLayoutTransform

_keras = tfmot.quantization.keras


class LowBitScheme(_keras.QuantizeScheme, abc.ABC):
    """A TFMOT `QuantizeScheme`: bit-widths per layer, and one graph rewrite for all methods.

    A method derives its scheme from this class, says which config a layer gets, and enters the
    scheme in the registry:

        @tf_n2uq.register_method('mine', 'Mine')
        class MyScheme(tf_n2uq.LowBitScheme):
            def make_config(self, weight_bits, activation_bits):
                return MyQuantizeConfig(activation_bits, weight_bits, activation_bits)

    Attributes:
        weight_bits: The bit-width of the kernels of quantized layers.
        activation_bits: The bit-width of the inputs of quantized layers.
        boundary_bits: The bit-width of the layers next to the model's inputs and outputs: 8, or
            None for float.
        tensor_bits: The bit-width of every other tensor: 8, or None for float.
        layers: The bit-width of single layers, or None for float, by the regular expression that
            matches their names.
    """

    def __init__(
        self,
        bits: int = 2,
        boundary_bits: int | None = 8,
        tensor_bits: int | None = 8,
        layers: Mapping[str, int | None] | None = None,
        weight_bits: int | None = None,
        activation_bits: int | None = None,
        deployment: Deployment | None = None,
    ) -> None:
        """Creates the scheme.

        Args:
            bits: The bit-width of kernels and inputs of quantized layers, 2..8.
            boundary_bits: The bit-width of the first convolution and the last dense layer, which
                are those with no other kernel between them and the model's input or output. It is
                8, or None to leave them in float as N2UQ was published.
            tensor_bits: The bit-width of every other tensor (sums, inputs of the quantizers, pooled
                values, logits). It is 8, with ranges that follow the data, or None for float.
            layers: `{regular expression: bits}` for single layers. An expression must match the
                whole name of a layer with a kernel, the first that matches wins, and None leaves
                a layer in float, with or without a kernel.
            weight_bits: The bit-width of kernels, `bits` if None.
            activation_bits: The bit-width of inputs, `bits` if None.
            deployment: The grid that levels and biases have in an integer file, None for the
                default one. Keras rounds by it at inference, and the export reads it.

        Raises:
            TypeError: A bit-width is not an integer.
            ValueError: A bit-width is out of its range, or an expression is not valid.
        """
        check_bits(bits)
        self.weight_bits = check_bits(bits if weight_bits is None else weight_bits, 'weight_bits')
        self.activation_bits = check_bits(
            bits if activation_bits is None else activation_bits, 'activation_bits'
        )
        self.boundary_bits = _eight_or_none('boundary_bits', boundary_bits)
        self.tensor_bits = _eight_or_none('tensor_bits', tensor_bits)
        self.layers = _checked_layers(layers or {})
        self.deployment = deployment or Deployment()

    @abc.abstractmethod
    def make_config(self, weight_bits: int, activation_bits: int) -> KernelQuantizeConfig:
        """Returns the method's config for a layer.

        Args:
            weight_bits: The bit-width of the layer's kernel, 2..8.
            activation_bits: The bit-width of the layer's input, 2..8.
        """

    def default_config(self) -> KernelQuantizeConfig:
        """Returns the config of a layer that neither `layers=` nor a boundary decides about."""
        return self.make_config(self.weight_bits, self.activation_bits)

    def get_layout_transformer(self) -> LowBitLayoutTransform:
        return LowBitLayoutTransform(self)

    def get_quantize_registry(self) -> LowBitRegistry:
        return LowBitRegistry(self)


class LowBitRegistry(_keras.QuantizeRegistry):
    """The TFMOT registry of a scheme, which knows the config of each layer."""

    def __init__(self, scheme: LowBitScheme) -> None:
        self._scheme = scheme

    def supports(self, layer: keras.layers.Layer) -> bool:
        """Tells `quantize_apply` whether to wrap a layer itself, which it never has to.

        The layout transform has placed every wrapper already. A layer that is still bare was not
        annotated, or is to stay in float.

        Args:
            layer: Any layer.

        Returns:
            False.
        """
        del layer
        return False

    def get_quantize_config(self, layer: keras.layers.Layer) -> KernelQuantizeConfig:
        """Returns the config that the scheme gives an inner layer like this one.

        Args:
            layer: A convolution or dense layer.

        Raises:
            ValueError: The layer has no kernel that the scheme quantizes.
        """
        if kind_of(layer) is not Kind.KERNEL:
            raise ValueError(
                f'layer: expected a convolution or dense layer, got {type(layer).__name__} '
                f'{layer.name!r}, which has no kernel to quantize; give a layer with a kernel.'
            )
        return self._scheme.default_config()


def _eight_or_none(name: str, value: int | None) -> int | None:
    if value is not None and (isinstance(value, bool) or value != 8):
        raise ValueError(
            f'{name}: expected 8, or None for float, got {value!r}; give one of the two.'
        )
    return value


def _checked_layers(layers: Mapping[str, int | None]) -> dict[str, int | None]:
    if not isinstance(layers, Mapping):
        raise TypeError(
            'layers: expected a dict {regular expression: bits or None} such as '
            f"{{'block1_.*': 4}}, got {layers!r}; give a dict."
        )
    for pattern, bits in layers.items():
        try:
            re.compile(pattern)
        except (re.error, TypeError) as error:
            raise ValueError(
                f'layers: expected regular expressions as keys, got {pattern!r} ({error}); give '
                'one that re.compile takes.'
            ) from error
        if bits is not None:
            check_bits(bits, f'layers[{pattern!r}]')
    return dict(layers)
