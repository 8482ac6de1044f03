"""AdaBits: one network, several bit-widths."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from tf_n2uq.quantizers import check_bit_widths
from tf_n2uq.schemes.adaptive.adaptive_config import AdaptiveQuantizeConfig
from tf_n2uq.schemes.adaptive.adaptive_transform import AdaptiveLayoutTransform
from tf_n2uq.schemes.methods.dorefa import DoReFaScheme
from tf_n2uq.schemes.methods.lsq import LSQScheme
from tf_n2uq.schemes.methods.n2uq import N2UQScheme
from tf_n2uq.schemes.methods.pact import PACTScheme
from tf_n2uq.schemes.methods.sat import SATScheme
from tf_n2uq.schemes.methods.scheme import LowBitScheme
from tf_n2uq.schemes.rewrite.kernel_config import KernelQuantizeConfig

_METHODS: dict[str, type[LowBitScheme]] = {
    'sat': SATScheme,
    'n2uq': N2UQScheme,
    'lsq': LSQScheme,
    'pact': PACTScheme,
    'dorefa': DoReFaScheme,
}
_INT8 = 8


class AdaBitsScheme(LowBitScheme):
    """The scheme for `quantize_apply(model, scheme=AdaBitsScheme(bits=(8, 6, 5, 4)))`.

    One model with one set of float kernels runs at each of several bit-widths: `set_bits` switches
    it, `training.AdaptiveTraining` trains all of them together, `tflite.convert(model, bits=4)`
    writes the file of one. Each bit-width has batch normalization statistics (see
    `layers.SwitchableBatchNormalization`), clipping values or thresholds, and 8-bit ranges of its
    own. A network starts from the float one it is made of, whose normalization every bit-width
    gets a copy of.

    With `method='n2uq'`, each bit-width learns thresholds of its own on shared kernels.

    Source: Jin et al., "AdaBits: Neural Network Quantization with Adaptive Bit-Widths" (CVPR
    2020).

    Attributes:
        bit_widths: of the network, from the highest to the lowest.
        weight_only: whether inputs have 8 bits at each of them.
        shared_affine: whether they have scale and offset of normalizations in common.
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
        **method_options: Any,
    ) -> None:
        """Creates the scheme.

        Args:
            bits: bit-widths of kernels and inputs of quantized layers, 2..8 each, from the highest
                to the lowest. At 8, a layer is plain int8, whatever the method.
            method: how kernels and inputs are quantized: 'sat', as AdaBits does, 'n2uq', 'lsq',
                'pact' or 'dorefa'.
            boundary_bits: of the first convolution and the last dense layer, at each bit-width: 8,
                or None for float.
            tensor_bits: of every other tensor, likewise.
            layers: `{regular expression: bits}` for layers that do not switch, see `LowBitScheme`;
                None leaves them in float.
            weight_only: whether only kernels switch; inputs then have the 8 bits of all tensors,
                or are float with `tensor_bits=None`.
            shared_affine: whether batch normalizations have one scale and one offset for all
                bit-widths; statistics are never shared.
            **method_options: what else the method's scheme takes: `levels`, `rescale` of 'sat'.

        Raises:
            TypeError: if a bit-width is not an integer, or the method has no such option.
            ValueError: if a bit-width is out of its range, they do not descend, an expression is
                not valid, or there is no such method.
        """
        self.bit_widths = check_bit_widths(bits)
        super().__init__(self.bit_widths[0], boundary_bits, tensor_bits, layers)
        if method not in _METHODS:
            known = ', '.join(map(repr, _METHODS))
            raise ValueError(f'method: expected one of {known}, got {method!r}.')
        self.method = method
        self.weight_only = weight_only
        self.shared_affine = shared_affine
        _check_options(method, method_options)
        self._single = _METHODS[method](self.bit_widths[0], **method_options)

    def make_config(self, weight_bits: int, activation_bits: int) -> KernelQuantizeConfig:
        return self._single.make_config(weight_bits, activation_bits)

    def default_config(self) -> AdaptiveQuantizeConfig:
        return AdaptiveQuantizeConfig(
            {
                bits: self._single.make_config(bits, _INT8 if self.weight_only else bits)
                for bits in self.bit_widths
            }
        )

    def get_layout_transformer(self) -> AdaptiveLayoutTransform:
        return AdaptiveLayoutTransform(self, self.bit_widths, self.shared_affine)


def _check_options(method: str, options: Mapping[str, Any]) -> None:
    general = inspect.signature(LowBitScheme).parameters
    own = [name for name in inspect.signature(_METHODS[method]).parameters if name not in general]
    unknown = sorted(set(options) - set(own))
    if unknown:
        expected = ', '.join(own) or 'no options'
        raise TypeError(
            f'method_options: expected {expected} with method={method!r}, got {", ".join(unknown)}.'
        )
