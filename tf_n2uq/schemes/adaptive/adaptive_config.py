"""The `QuantizeConfig` of a layer that is quantized to several bit-widths in turn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow_model_optimization as tfmot
import tf_keras as keras

from tf_n2uq.quantizers import AdaptiveQuantizer, RangeQuantizer, check_bit_widths
from tf_n2uq.schemes.methods.method_config import MethodQuantizeConfig
from tf_n2uq.schemes.rewrite.kernel_config import KernelQuantizeConfig

_Quantizer = tfmot.quantization.keras.quantizers.Quantizer
_INT8 = 8


@keras.saving.register_keras_serializable(package='tf_n2uq')
class AdaptiveQuantizeConfig(KernelQuantizeConfig):
    """Quantizes one layer as one of several configs does: that of the active bit-width.

    Source: "AdaBits: Neural Network Quantization with Adaptive Bit-Widths" (CVPR 2020).

    Attributes:
        configs: by the bit-width of the network.
        active_bits: one of these bit-widths.
    """

    def __init__(
        self, configs: Mapping[int, MethodQuantizeConfig], active_bits: int | None = None
    ) -> None:
        """Creates the config.

        Args:
            configs: by the bit-width of the network, from the highest to the lowest.
            active_bits: the bit-width to start with; None: the highest.

        Raises:
            TypeError: if a bit-width is not an integer.
            ValueError: if the bit-widths are not in 2..8 or do not descend, or `active_bits` is
                none of them.
        """
        widths = check_bit_widths(configs, 'configs')
        self.configs = dict(zip(widths, configs.values(), strict=True))
        self.active_bits = widths[0] if active_bits is None else active_bits
        if self.active_bits not in widths:
            raise ValueError(f'active_bits: expected one of {widths}, got {active_bits!r}.')

    def with_bits(self, bits: int) -> AdaptiveQuantizeConfig:
        """Returns a config that knows one more bit-width.

        Args:
            bits: the bit-width of the network; inputs keep 8 bits if only kernels switch.
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

    def kernel_quantizer(self, channel_axis: int | tuple[int, int]) -> _Quantizer:
        return self._adaptive(lambda config: config.kernel_quantizer(channel_axis))

    def input_quantizer(self) -> _Quantizer | None:
        adaptive = self._adaptive(lambda config: config.input_quantizer())
        return adaptive if any(adaptive.quantizers.values()) else None

    def activation_quantizer(self) -> _Quantizer:
        return self.input_quantizer() or RangeQuantizer(8)

    def _adaptive(
        self, quantizer_of: Callable[[MethodQuantizeConfig], _Quantizer | None]
    ) -> AdaptiveQuantizer:
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
