"""N2UQ's kernels with a clipped input, for one layer of the published MobileNetV2."""

from __future__ import annotations

from typing import Any

import tf_keras as keras

from tf_n2uq.quantizers import EntropyPreservingQuantizer, PACTQuantizer
from tf_n2uq.quantizers.bits import check_bits
from tf_n2uq.schemes.rewrite.kernel_config import KernelQuantizeConfig


@keras.saving.register_keras_serializable(package='tf_n2uq')
class N2UQPACTQuantizeConfig(KernelQuantizeConfig):
    """Quantizes one layer with an entropy-preserving kernel and, in front of it, PACT.

    The input is clipped to a learned value, and its levels are uniform.

    Source: the published code of Liu et al., "Nonuniform-to-Uniform Quantization", CVPR 2022, which
    quantizes the input of MobileNetV2's last 1×1 convolution in this way.
    """

    def __init__(self, bits: int = 4) -> None:
        """Creates the config.

        Args:
            bits: The bit-width of kernel and input, 2..7.

        Raises:
            TypeError: `bits` is not an integer.
            ValueError: `bits` is not in 2..7.
        """
        if check_bits(bits) == 8:
            raise ValueError(
                'bits: expected 2 to 7, got 8, at which the int8 tensor itself is the input; use '
                'N2UQQuantizeConfig(bits=8).'
            )
        self.bits = bits

    def kernel_quantizer(self, channel_axis: int | tuple[int, int]) -> EntropyPreservingQuantizer:
        return EntropyPreservingQuantizer(self.bits, channel_axis)

    def input_quantizer(self) -> PACTQuantizer:
        return PACTQuantizer(self.bits)

    def activation_quantizer(self) -> PACTQuantizer:
        return PACTQuantizer(self.bits)

    def get_config(self) -> dict[str, Any]:
        return {'bits': self.bits}
