"""AdaBits: one network, several bit-widths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tf_n2uq.layers import Deployment
from tf_n2uq.quantizers import check_bit_widths
from tf_n2uq.schemes.adaptive.adaptive_config import AdaptiveQuantizeConfig
from tf_n2uq.schemes.adaptive.adaptive_transform import AdaptiveLayoutTransform
from tf_n2uq.schemes.methods.registry import Method
from tf_n2uq.schemes.methods.registry import method as find_method
from tf_n2uq.schemes.methods.scheme import LowBitScheme
from tf_n2uq.schemes.rewrite.kernel_config import KernelQuantizeConfig

_INT8 = 8


class AdaBitsScheme(LowBitScheme):
    """The scheme for `quantize_apply(model, scheme=AdaBitsScheme(bits=(8, 6, 5, 4)))`.

    One model with one set of float kernels runs at each of several bit-widths: `set_bits` switches
    it, `training.AdaptiveTraining` trains all bit-widths together, and `tflite.convert(model,
    bits=4)` writes the file of one. Each bit-width has its own batch normalization statistics (see
    `layers.SwitchableBatchNormalization`), its own variables of quantizers, and its own 8-bit
    ranges. The model starts from a float network, and every bit-width gets a copy of that
    network's normalizations.

    Source: Jin et al., "AdaBits: Neural Network Quantization with Adaptive Bit-Widths", CVPR 2020.

    Attributes:
        bit_widths: The bit-widths of the network, from the highest to the lowest.
        method: The name of the method that quantizes kernels and inputs.
        weight_only: Whether inputs have 8 bits at each bit-width.
        shared_affine: Whether all bit-widths share the scale and offset of normalizations.
    """

    def __init__(
        self,
        bits: Sequence[int] = (8, 6, 5, 4),
        method: str = 'sat',
        boundary_bits: int | None = 8,
        tensor_bits: int | None = 8,
        layers: Mapping[str, int | None] | None = None,
        weight_only: bool = False,
        shared_affine: bool = False,
        deployment: Deployment | None = None,
        **method_options: Any,
    ) -> None:
        """Creates the scheme.

        Args:
            bits: The bit-widths of kernels and inputs of quantized layers, 2..8 each, from the
                highest to the lowest. At 8 a layer is plain int8, whatever the method.
            method: The method that quantizes kernels and inputs: 'sat', as in the paper, or another
                name that `tf_n2uq.methods()` lists.
            boundary_bits: The bit-width of the first convolution and the last dense layer, the same
                at all bit-widths: 8, or None for float.
            tensor_bits: The bit-width of every other tensor, likewise.
            layers: `{regular expression: bits}` for layers that do not switch, see `LowBitScheme`;
                None leaves such a layer in float.
            weight_only: Whether only kernels switch. Inputs then have the 8 bits of all tensors,
                or are float with `tensor_bits=None`.
            shared_affine: Whether batch normalizations have one scale and one offset for all
                bit-widths. Statistics are never shared.
            deployment: The grid of levels and biases in an integer file, see `LowBitScheme`.
            **method_options: Further arguments of the method's scheme, for example `levels` and
                `rescale` of 'sat'.

        Raises:
            TypeError: A bit-width is not an integer, or the method has no such option.
            ValueError: A bit-width is out of its range, the bit-widths do not descend, an
                expression is not valid, or there is no such method.
        """
        self.bit_widths = check_bit_widths(bits)
        super().__init__(
            self.bit_widths[0], boundary_bits, tensor_bits, layers, deployment=deployment
        )
        found = find_method(method)
        _check_options(found, method_options)
        self.method = method
        self.weight_only = weight_only
        self.shared_affine = shared_affine
        # The method looks at the fewest bits, of which it may have something to say.
        self._single = found.scheme(self.bit_widths[-1], layers=layers, **method_options)

    def make_config(self, weight_bits: int, activation_bits: int) -> KernelQuantizeConfig:
        """Returns the method's config for a layer of these bit-widths."""
        return self._single.make_config(weight_bits, activation_bits)

    def default_config(self) -> AdaptiveQuantizeConfig:
        """Returns the config of a layer that switches."""
        return AdaptiveQuantizeConfig(
            {
                bits: self._single.make_config(bits, _INT8 if self.weight_only else bits)
                for bits in self.bit_widths
            }
        )

    def get_layout_transformer(self) -> AdaptiveLayoutTransform:
        return AdaptiveLayoutTransform(self, self.bit_widths, self.shared_affine)


def _check_options(method: Method, options: Mapping[str, Any]) -> None:
    unknown = sorted(set(options) - set(method.options))
    if unknown:
        expected = ', '.join(method.options) or 'no options'
        raise TypeError(
            f'method_options: expected {expected} with method={method.name!r}, got '
            f'{", ".join(unknown)}; leave them out, or choose another method.'
        )
