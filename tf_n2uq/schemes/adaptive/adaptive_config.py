"""The `QuantizeConfig` of a layer that is quantized to several bit-widths in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tf_keras as keras

from tf_n2uq.quantizers import (
    AdaptiveQuantizer,
    RangeQuantizer,
    ScaledQuantizer,
    check_bit_widths,
)
from tf_n2uq.schemes.methods.method_config import MethodQuantizeConfig
from tf_n2uq.schemes.rewrite.kernel_config import KernelQuantizeConfig

_INT8 = 8


@keras.saving.register_keras_serializable(package='tf_n2uq')
class AdaptiveQuantizeConfig(KernelQuantizeConfig):
    """Quantizes one layer as the config of the active bit-width does.

    Source: Jin et al., "AdaBits: Neural Network Quantization with Adaptive Bit-Widths", CVPR 2020.

    Attributes:
        configs: The config of each bit-width of the network, by bit-width.
        active_bits: The active bit-width, one of these.
    """

    def __init__(
        self, configs: Mapping[int, MethodQuantizeConfig], active_bits: int | None = None
    ) -> None:
        """Creates the config.

        Args:
            configs: The config of each bit-width, from the highest to the lowest.
            active_bits: The bit-width to start with, None for the highest.

        Raises:
            TypeError: A bit-width is not an integer.
            ValueError: A bit-width is not in 2..8, the bit-widths do not descend, or `active_bits`
                is none of them.
        """
        widths = check_bit_widths(configs, 'configs')
        self.configs = dict(zip(widths, configs.values(), strict=True))
        self.active_bits = widths[0] if active_bits is None else active_bits
        if self.active_bits not in widths:
            raise ValueError(
                f'active_bits: expected one of {widths}, got {active_bits!r}; give one of these.'
            )

    def with_bits(self, bits: int) -> AdaptiveQuantizeConfig:
        """Returns a config with one bit-width more.

        Args:
            bits: The new bit-width of the network. Inputs keep 8 bits if only kernels switch.
        """
        lowest, config = list(self.configs.items())[-1]
        only_weights = config.activation_bits == _INT8 and lowest != _INT8
        new = type(config).from_config(
            {
                **config.get_config(),
                'weight_bits': bits,
                'activation_bits': _INT8 if only_weights else bits,
            }
        )
        configs = sorted({**self.configs, bits: new}.items(), reverse=True)
        return AdaptiveQuantizeConfig(dict(configs), self.active_bits)

    def kernel_quantizer(self, channel_axis: int | tuple[int, int]) -> AdaptiveQuantizer:
        return self._adaptive(lambda config: config.kernel_quantizer(channel_axis))

    def input_quantizer(self) -> AdaptiveQuantizer | None:
        adaptive = self._adaptive(lambda config: config.input_quantizer())
        return adaptive if any(adaptive.quantizers.values()) else None

    def activation_quantizer(self) -> ScaledQuantizer:
        return self.input_quantizer() or RangeQuantizer(8)

    def _adaptive(self, quantizer_of: Callable[[MethodQuantizeConfig], Any]) -> AdaptiveQuantizer:
        quantizers = {bits: quantizer_of(config) for bits, config in self.configs.items()}
        return AdaptiveQuantizer(quantizers, self.active_bits)

    def get_config(self) -> dict[str, Any]:
        serialize = keras.utils.legacy.serialize_keras_object
        return {
            'configs': [[bits, serialize(config)] for bits, config in self.configs.items()],
            'active_bits': self.active_bits,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> AdaptiveQuantizeConfig:
        deserialize = keras.utils.legacy.deserialize_keras_object
        configs = {bits: deserialize(each) for bits, each in config['configs']}
        return cls(configs, config['active_bits'])
