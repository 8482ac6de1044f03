"""SAT: rescaled kernels, and inputs clipped to a learned value with a calibrated gradient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tensorflow_model_optimization as tfmot
import tf_keras as keras

from tf_n2uq.ops import check_rescale
from tf_n2uq.ops.unit_levels import UNIT_LEVELS
from tf_n2uq.quantizers import DoReFaQuantizer, PACTQuantizer
from tf_n2uq.schemes.methods.method_config import MethodQuantizeConfig
from tf_n2uq.schemes.methods.scheme import LowBitScheme

_Quantizer = tfmot.quantization.keras.quantizers.Quantizer
_KERNEL_LEVELS = tuple(name for name, each in UNIT_LEVELS.items() if each.signed)


@keras.saving.register_keras_serializable(package='tf_n2uq')
class SATQuantizeConfig(MethodQuantizeConfig):
    """Quantizes one layer as SAT and AdaBits do.

    Source: "Towards Efficient Training for Neural Network Quantization" (2019) and "AdaBits" (CVPR
    2020).

    From 2 to 7 bits; at 8 the layer is plain int8.
    """

    def __init__(
        self,
        bits: int = 2,
        weight_bits: int | None = None,
        activation_bits: int | None = None,
        levels: str = 'modified',
        rescale: str | None = 'stddev',
    ) -> None:
        """Creates the config.

        Args:
            bits: bit-width of kernel and input, 2..8.
            weight_bits: bit-width of the kernel, `bits` if None.
            activation_bits: bit-width of the input, `bits` if None.
            levels: of kernels, see `SATScheme`.
            rescale: of kernels, see `SATScheme`.

        Raises:
            TypeError: if a bit-width is not an integer.
            ValueError: if a bit-width is outside 2..8, or there are no such levels or rescaling.
        """
        super().__init__(bits, weight_bits, activation_bits)
        self.levels, self.rescale = _checked(levels, rescale)

    def method_kernel_quantizer(self, channel_axis: int | tuple[int, int]) -> _Quantizer:
        return DoReFaQuantizer(self.weight_bits, self.levels, self.rescale, channel_axis)

    def method_input_quantizer(self) -> _Quantizer:
        return PACTQuantizer(self.activation_bits, 'calibrated')

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), 'levels': self.levels, 'rescale': self.rescale}


class SATScheme(LowBitScheme):
    """The scheme for `tfmot.quantization.keras.quantize_apply(model, scheme=SATScheme(2))`.

    Kernels are DoReFa-Net's, on other levels and rescaled; the clipping values of the inputs are
    learned with a gradient that knows the quantization error. Negative inputs become 0: a layer
    whose input is signed (behind a linear layer or a sum) loses that half, which `N2UQScheme` and
    `LSQScheme` keep.

    Source: "Towards Efficient Training for Neural Network Quantization" (2019); the levels:
    "AdaBits: Neural Network Quantization with Adaptive Bit-Widths" (CVPR 2020).

    Attributes:
        levels: of kernels.
        rescale: of kernels.
    """

    def __init__(
        self,
        bits: int = 2,
        boundary_bits: int | None = 8,
        tensor_bits: int | None = 8,
        layers: Mapping[str, int | None] | None = None,
        weight_bits: int | None = None,
        activation_bits: int | None = None,
        levels: str = 'modified',
        rescale: str | None = 'stddev',
    ) -> None:
        """Creates the scheme.

        Args:
            bits: as for every scheme, see `LowBitScheme`.
            boundary_bits: likewise.
            tensor_bits: likewise.
            layers: likewise.
            weight_bits: likewise.
            activation_bits: likewise.
            levels: of kernels: 'original', as DoReFa-Net's; 'modified', which fewer bits are the
                upper bits of, and whose mean is below zero, by a quarter at 2 bits;
                'centered_symmetric', which are as well and whose mean is zero: take these at 2 and
                3 bits.
            rescale: of kernels: 'stddev', to the standard deviation that the float kernel has,
                which is what a trained network needs; 'constant', to one that does not depend on
                it, for training from scratch; None for kernels that fill −1..1.

        Raises:
            TypeError: if a bit-width is not an integer.
            ValueError: if a bit-width is out of its range, an expression is not valid, or there
                are no such levels or rescaling.
        """
        super().__init__(bits, boundary_bits, tensor_bits, layers, weight_bits, activation_bits)
        self.levels, self.rescale = _checked(levels, rescale)

    def make_config(self, weight_bits: int, activation_bits: int) -> SATQuantizeConfig:
        return SATQuantizeConfig(
            activation_bits, weight_bits, activation_bits, self.levels, self.rescale
        )


def _checked(levels: str, rescale: str | None) -> tuple[str, str | None]:
    if levels not in _KERNEL_LEVELS:
        raise ValueError(
            f'levels: expected one of {", ".join(map(repr, _KERNEL_LEVELS))} for kernels, got '
            f'{levels!r}.'
        )
    return levels, check_rescale(rescale)
