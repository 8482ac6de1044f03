"""The quantizer of a network that runs at several bit-widths."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq.quantizers.base import ConfiguredQuantizer
from tf_n2uq.quantizers.bits import check_bit_widths
from tf_n2uq.quantizers.range import RangeQuantizer

_INT8 = 8


@keras.saving.register_keras_serializable(package='tf_n2uq')
class AdaptiveQuantizer(ConfiguredQuantizer):
    """Quantizes with the quantizer of the active bit-width; each has variables of its own.

    The function and the gradient are those of that quantizer. A call reads the active bit-width
    when it is made or traced, and `tf_n2uq.set_bits` changes it.

    Source: Jin et al., "AdaBits: Neural Network Quantization with Adaptive Bit-Widths", CVPR 2020
    (Switchable Clipping Level).

    Attributes:
        quantizers: The quantizers by the bit-width of the network; None where the tensor has that
            bit-width already.
        active_bits: The active bit-width, one of these.
    """

    def __init__(
        self,
        quantizers: Mapping[int, ConfiguredQuantizer | None],
        active_bits: int | None = None,
    ) -> None:
        """Makes a quantizer.

        Args:
            quantizers: The quantizers by bit-width, from the highest to the lowest; None passes
                tensors on.
            active_bits: The bit-width to start with, None for the highest.

        Raises:
            TypeError: A bit-width is not an integer.
            ValueError: A bit-width is not in 2..8, the bit-widths do not descend, or `active_bits`
                is none of them.
        """
        widths = check_bit_widths(quantizers, 'quantizers')
        self.quantizers = dict(zip(widths, quantizers.values(), strict=True))
        self.active_bits = widths[0] if active_bits is None else active_bits
        if self.active_bits not in widths:
            raise ValueError(
                f'active_bits: expected one of {widths}, got {active_bits!r}; give one of these.'
            )

    def build(self, tensor_shape: Any, name: str, layer: keras.layers.Layer) -> dict[str, Any]:
        """Adds the variables of all bit-widths to a layer.

        Args:
            tensor_shape: The shape of the tensor.
            name: The name of the tensor.
            layer: The layer that owns the variables.

        Returns:
            The variables of all quantizers. The name of each is the bit-width, as `4bit_`, and the
            name that the quantizer of that bit-width knows the variable by.
        """
        return {
            f'{bits}bit_{key}': variable
            for bits, quantizer in self.quantizers.items()
            if quantizer is not None
            for key, variable in quantizer.build(tensor_shape, f'{name}_{bits}bit', layer).items()
        }

    def __call__(
        self,
        inputs: tf.Tensor,
        training: Any,
        weights: Mapping[str, Any],
        **kwargs: Any,
    ) -> tf.Tensor:
        """Quantizes a tensor to the active bit-width.

        Args:
            inputs: A tensor that the active quantizer takes.
            training: Passed on.
            weights: The dictionary that `build` returned.
            **kwargs: Passed on.

        Returns:
            The quantized tensor; `inputs` if the active bit-width has no quantizer.
        """
        if self.is_identity:
            return inputs
        return self.active(inputs, training, weights=self._active_weights(weights), **kwargs)

    @property
    def active(self) -> ConfiguredQuantizer:
        """The quantizer of the active bit-width.

        Raises:
            ValueError: The active bit-width has no quantizer.
        """
        quantizer = self.quantizers[self.active_bits]
        if quantizer is None:
            raise ValueError(
                f'active_bits: expected a bit-width that has a quantizer, got {self.active_bits}, '
                'where tensors pass unchanged; ask is_identity first.'
            )
        return quantizer

    @property
    def is_identity(self) -> bool:
        """Whether the active bit-width has no quantizer."""
        return self.quantizers[self.active_bits] is None

    @property
    def bits(self) -> int:
        """The bit-width of the tensor, which need not be that of the network."""
        return _INT8 if self.is_identity else self.active.bits

    @property
    def keeps_scale(self) -> bool:
        """Whether the active quantizer keeps the scale of a kernel."""
        return self.active.keeps_scale

    @property
    def is_uniform(self) -> bool:
        """Whether the levels of all bit-widths below 8 are equally far apart."""
        methods = self._of_methods()
        return bool(methods) and all(each.is_uniform for each in methods)

    @property
    def is_unsigned(self) -> bool:
        """Whether 0 is the lowest level at all bit-widths below 8."""
        methods = self._of_methods()
        return bool(methods) and all(each.is_unsigned for each in methods)

    @property
    def has_odd_integers(self) -> bool:
        """Whether all integers of the active quantizer are odd."""
        return self.active.has_odd_integers

    def bias_divisor(self, kernel: tf.Tensor) -> tf.Tensor | None:
        """Returns the bias divisor of the active quantizer, see `protocols.KernelQuantizer`."""
        return self.active.bias_divisor(kernel)

    def integers(
        self, kernel: tf.Tensor, weights: Mapping[str, Any] | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the integers and units of the active quantizer."""
        return self.active.integers(kernel, self._active_weights(weights or {}))

    def step(self, weights: Mapping[str, Any]) -> tf.Tensor:
        """Returns the step of the active quantizer, float64 `[]`."""
        return self.active.step(self._active_weights(weights))

    def weights_at(self, bits: int, weights: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the variables of one bit-width.

        Args:
            bits: The bit-width.
            weights: The dictionary that `build` returned.

        Returns:
            The variables by the names that the quantizer of that bit-width knows them by.
        """
        prefix = f'{bits}bit_'
        return {
            name.removeprefix(prefix): variable
            for name, variable in weights.items()
            if name.startswith(prefix)
        }

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments, quantizers as pairs of bits and config."""
        serialize = keras.utils.legacy.serialize_keras_object
        return {
            'quantizers': [
                [bits, None if quantizer is None else serialize(quantizer)]
                for bits, quantizer in self.quantizers.items()
            ],
            'active_bits': self.active_bits,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> AdaptiveQuantizer:
        """Makes a quantizer from a config that `get_config` returned."""
        deserialize = keras.utils.legacy.deserialize_keras_object
        quantizers = {
            bits: None if quantizer is None else deserialize(quantizer)
            for bits, quantizer in config['quantizers']
        }
        return cls(quantizers, config['active_bits'])

    def _of_methods(self) -> list[ConfiguredQuantizer]:
        """Returns the quantizers that are no 8-bit ranges."""
        given = [each for each in self.quantizers.values() if each is not None]
        return [each for each in given if not isinstance(each, RangeQuantizer)]

    def _active_weights(self, weights: Mapping[str, Any]) -> dict[str, Any]:
        return self.weights_at(self.active_bits, weights)


def in_use(
    quantizer: ConfiguredQuantizer, weights: Mapping[str, Any]
) -> tuple[ConfiguredQuantizer, Mapping[str, Any]]:
    """Returns the quantizer that does the work, and its variables.

    Args:
        quantizer: Any quantizer. For an adaptive one with a quantizer of the active bit-width, the
            result is that quantizer; for any other, it is the quantizer itself.
        weights: The dictionary that `build` of the quantizer returned.
    """
    if not isinstance(quantizer, AdaptiveQuantizer) or quantizer.is_identity:
        return quantizer, weights
    return quantizer.active, quantizer.weights_at(quantizer.active_bits, weights)
