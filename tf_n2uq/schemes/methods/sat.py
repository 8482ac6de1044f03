"""The method SAT: rescaled kernels, and inputs clipped to a value with a calibrated gradient."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import tf_keras as keras
from absl import logging

from tf_n2uq.layers import Deployment
from tf_n2uq.ops import check_rescale
from tf_n2uq.ops.unit_levels import KERNEL_LEVELS
from tf_n2uq.quantizers import DoReFaQuantizer, PACTQuantizer
from tf_n2uq.schemes.methods.method_config import MethodQuantizeConfig
from tf_n2uq.schemes.methods.registry import register_method
from tf_n2uq.schemes.methods.scheme import LowBitScheme


@keras.saving.register_keras_serializable(package='tf_n2uq')
class SATQuantizeConfig(MethodQuantizeConfig):
    """Quantizes one layer as SAT and AdaBits do, from 2 to 7 bits; at 8 the layer is plain int8.

    Kernels go through `quantizers.DoReFaQuantizer` with rescaling, inputs through
    `quantizers.PACTQuantizer` with the calibrated gradient.

    Source: Jin et al., "Towards Efficient Training for Neural Network Quantization", 2019, and Jin
    et al., "AdaBits: Neural Network Quantization with Adaptive Bit-Widths", CVPR 2020.
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
            bits: The bit-width of kernel and input, 2..8.
            weight_bits: The bit-width of the kernel, `bits` if None.
            activation_bits: The bit-width of the input, `bits` if None.
            levels: The levels of the kernel, see `SATScheme`.
            rescale: The rescaling of the kernel, see `SATScheme`.

        Raises:
            TypeError: A bit-width is not an integer.
            ValueError: A bit-width is not in 2..8, or there are no such levels or rescaling.
        """
        super().__init__(bits, weight_bits, activation_bits)
        self.levels, self.rescale = _checked(levels, rescale)

    def method_kernel_quantizer(self, channel_axis: int | tuple[int, int]) -> DoReFaQuantizer:
        return DoReFaQuantizer(self.weight_bits, self.levels, self.rescale, channel_axis)

    def method_input_quantizer(self) -> PACTQuantizer:
        return PACTQuantizer(self.activation_bits, 'calibrated')

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), 'levels': self.levels, 'rescale': self.rescale}


@register_method('sat', 'SAT', variants={'centered': {'levels': 'centered_symmetric'}})
class SATScheme(LowBitScheme):
    """The scheme for `tfmot.quantization.keras.quantize_apply(model, scheme=SATScheme(2))`.

    Kernels are DoReFa-Net's, on other levels and rescaled. The clipping values of the inputs are
    learned with a gradient that contains the quantization error. Negative inputs become 0. A layer
    whose input is signed (behind a linear layer or a sum) loses the negative half, which
    `N2UQScheme`, `LSQScheme` and `LSQPlusScheme` keep.

    Source: Jin et al., "Towards Efficient Training for Neural Network Quantization", 2019. The
    levels are those of Jin et al., "AdaBits: Neural Network Quantization with Adaptive Bit-Widths",
    CVPR 2020.

    Attributes:
        levels: The levels of kernels.
        rescale: The rescaling of kernels.
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
        deployment: Deployment | None = None,
    ) -> None:
        """Creates the scheme.

        Args:
            bits: As for every scheme, see `LowBitScheme`.
            boundary_bits: As for every scheme.
            tensor_bits: As for every scheme.
            layers: As for every scheme.
            weight_bits: As for every scheme.
            activation_bits: As for every scheme.
            levels: The levels of kernels. 'original' are DoReFa-Net's. With 'modified' ones, the
                levels of few bits are the upper bits of those of more; their mean is below zero, by
                a quarter at 2 bits. 'centered_symmetric' ones are upper bits as well, and their
                mean is zero; they are better at 2 and 3 bits.
            rescale: The rescaling of kernels. 'stddev' gives a kernel the standard deviation that
                the float kernel has, which a trained network needs. 'constant' gives it one that
                does not depend on the float kernel, for training from scratch. With None, kernels
                fill −1..1.
            deployment: As for every scheme.

        Raises:
            TypeError: A bit-width is not an integer.
            ValueError: A bit-width is out of its range, an expression is not valid, or there are no
                such levels or rescaling.
        """
        super().__init__(
            bits, boundary_bits, tensor_bits, layers, weight_bits, activation_bits, deployment
        )
        self.levels, self.rescale = _checked(levels, rescale)
        if self.levels == 'modified' and 2 in (self.weight_bits, *self.layers.values()):
            logging.warning(
                "levels: 'modified' levels of 2 bits lie at -1, -1/2, 0 and 1/2, which costs SAT "
                "several points of accuracy; give levels='centered_symmetric', which have no bias."
            )

    def make_config(self, weight_bits: int, activation_bits: int) -> SATQuantizeConfig:
        return SATQuantizeConfig(
            activation_bits, weight_bits, activation_bits, self.levels, self.rescale
        )


def _checked(levels: str, rescale: str | None) -> tuple[str, str | None]:
    if levels not in KERNEL_LEVELS:
        raise ValueError(
            f'levels: expected one of {", ".join(map(repr, KERNEL_LEVELS))} for kernels, got '
            f'{levels!r}; choose one of these.'
        )
    return levels, check_rescale(rescale)
