"""The method LSQ+: kernels in multiples of learned steps, inputs with a learned offset as well."""

from __future__ import annotations

import tf_keras as keras

from tf_n2uq.quantizers import LSQPlusInputQuantizer, LSQPlusQuantizer
from tf_n2uq.schemes.methods.method_config import MethodQuantizeConfig
from tf_n2uq.schemes.methods.registry import register_method
from tf_n2uq.schemes.methods.scheme import LowBitScheme


@keras.saving.register_keras_serializable(package='tf_n2uq')
class LSQPlusQuantizeConfig(MethodQuantizeConfig):
    """Quantizes one layer as LSQ+ does, from 2 to 7 bits; at 8 the layer is plain int8.

    The kernel has one step (`quantizers.LSQPlusQuantizer`). The input has a step and an offset of
    its own (`quantizers.LSQPlusInputQuantizer`).

    Source: Bhalgat et al., "LSQ+: Improving low-bit quantization through learnable offsets and
    better initialization", CVPR Workshops 2020, section 3.
    """

    def method_kernel_quantizer(self, channel_axis: int | tuple[int, int]) -> LSQPlusQuantizer:
        del channel_axis
        return LSQPlusQuantizer(self.weight_bits)

    def method_input_quantizer(self) -> LSQPlusInputQuantizer:
        return LSQPlusInputQuantizer(self.activation_bits)


@register_method('lsq_plus', 'LSQ+')
class LSQPlusScheme(LowBitScheme):
    """The scheme for `tfmot.quantization.keras.quantize_apply(model, scheme=LSQPlusScheme(2))`.

    Kernels have the signed levels −2^(b−1)..2^(b−1) − 1 of LSQ, with the start value of LSQ+.
    Inputs have 2^b levels that begin at a learned offset. `calibrate` starts step and offset at
    those with the least squared error, and training moves both. Behind a swish or a leaky ReLU,
    whose outputs are negative but not as far as they are positive, no level is wasted that way.

    Source: Bhalgat et al., "LSQ+: Improving low-bit quantization through learnable offsets and
    better initialization", CVPR Workshops 2020.
    """

    def make_config(self, weight_bits: int, activation_bits: int) -> LSQPlusQuantizeConfig:
        return LSQPlusQuantizeConfig(activation_bits, weight_bits, activation_bits)
