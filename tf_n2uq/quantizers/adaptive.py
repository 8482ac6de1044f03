"""One quantizer per bit-width, of which one is in use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq.quantizers.base import ConfiguredQuantizer
from tf_n2uq.quantizers.bits import check_bit_widths

_INT8 = 8


@keras.saving.register_keras_serializable(package='tf_n2uq')
class AdaptiveQuantizer(ConfiguredQuantizer):
    """Quantizes with the quantizer of the active bit-width; each has variables of its own.

    What is active is read when the call is made or traced: `tf_n2uq.set_bits` changes it.

    Source: Jin et al., "AdaBits: Neural Network Quantization with Adaptive Bit-Widths", CVPR 2020
    (Switchable Clipping Level).

    Attributes:
        quantizers: By bit-width; None where the tensor has been quantized to that already.
        active_bits: One of these bit-widths.
    """

    def __init__(
        self,
        quantizers: Mapping[int, ConfiguredQuantizer | None],
        active_bits: int | None = None,
    ) -> None:
        """Makes a quantizer.

        Args:
            quantizers: By bit-width, from the highest to the lowest; None passes tensors on.
            active_bits: The bit-width to start with; None: the highest.

        Raises:
            TypeError: A bit-width is not an integer.
            ValueError: The bit-widths are not in 2..8 or do not descend, or `active_bits` is none
                of them.
        """
        widths = check_bit_widths(quantizers, 'quantizers')
        self.quantizers = dict(zip(widths, quantizers.values(), strict=True))
        self.active_bits = widths[0] if active_bits is None else active_bits
        if self.active_bits not in widths:
            raise ValueError(f'active_bits: expected one of {widths}, got {active_bits!r}.')

    def build(self, tensor_shape: Any, name: str, layer: keras.layers.Layer) -> dict[str, Any]:
        """Adds the variables of all bit-widths to a layer.

        Args:
            tensor_shape: Of the tensor.
            name: Of the tensor.
            layer: The layer that owns the variables.

        Returns:
            Variables by `4bit_` and the name that the quantizer of 4 bits knows them by.
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
            inputs: What the active quantizer takes.
            training: Passed on.
            weights: What `build` returned.
            **kwargs: Passed on.

        Returns:
            What the active quantizer returns; `inputs` if there is none.
        """
        if self.is_identity:
            return inputs
        return self.active(inputs, training, weights=self._active_weights(weights), **kwargs)

    @property
    def active(self) -> ConfiguredQuantizer:
        """The quantizer of the active bit-width.

        Raises:
            ValueError: It is None.
        """
        quantizer = self.quantizers[self.active_bits]
        if quantizer is None:
            raise ValueError(f'active_bits: at {self.active_bits} there is no quantizer here.')
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
        """As that of the active quantizer."""
        return self.active.keeps_scale

    @property
    def has_odd_integers(self) -> bool:
        """As that of the active quantizer."""
        return self.active.has_odd_integers

    def bias_divisor(self, kernel: tf.Tensor) -> tf.Tensor | None:
        """As that of the active quantizer."""
        return self.active.bias_divisor(kernel)

    def integers(
        self, kernel: tf.Tensor, weights: Mapping[str, Any] | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """As that of the active quantizer."""
        return self.active.integers(kernel, self._active_weights(weights or {}))

    def step(self, weights: Mapping[str, Any]) -> tf.Tensor:
        """As that of the active quantizer."""
        return self.active.step(self._active_weights(weights))

    def weights_at(self, bits: int, weights: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the variables of one bit-width.

        Args:
            bits: The bit-width.
            weights: What `build` returned.

        Returns:
            Variables by the names that the quantizer of that bit-width knows them by.
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
        """Makes a quantizer of what `get_config` returned."""
        deserialize = keras.utils.legacy.deserialize_keras_object
        quantizers = {
            bits: None if quantizer is None else deserialize(quantizer)
            for bits, quantizer in config['quantizers']
        }
        return cls(quantizers, config['active_bits'])

    def _active_weights(self, weights: Mapping[str, Any]) -> dict[str, Any]:
        return self.weights_at(self.active_bits, weights)


def in_use(
    quantizer: ConfiguredQuantizer, weights: Mapping[str, Any]
) -> tuple[ConfiguredQuantizer, Mapping[str, Any]]:
    """Returns the quantizer that does the work, and its variables.

    Args:
        quantizer: Any; of an adaptive one it is that of the active bit-width, if it has one.
        weights: What its `build` returned.
    """
    if not isinstance(quantizer, AdaptiveQuantizer) or quantizer.is_identity:
        return quantizer, weights
    return quantizer.active, quantizer.weights_at(quantizer.active_bits, weights)
