"""The interface of schemes that the graph rewrite uses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from tf_n2uq.layers import Deployment
from tf_n2uq.schemes.rewrite.kernel_config import KernelQuantizeConfig


@runtime_checkable
class BitPolicy(Protocol):
    """The bit-widths of a network, and the config of each layer with a kernel.

    `tf_n2uq.LowBitScheme` is one. The rewrite knows schemes by this interface alone.

    Attributes:
        boundary_bits: The bit-width of the layers next to the model's inputs and outputs: 8, or
            None for float.
        tensor_bits: The bit-width of every tensor that is not the input of a quantized layer: 8, or
            None for float.
        layers: The bit-width of single layers, or None for float, by the regular expression that
            matches their names.
        deployment: The grid of levels and biases in an integer file.
    """

    boundary_bits: int | None
    tensor_bits: int | None
    layers: Mapping[str, int | None]
    deployment: Deployment

    def make_config(self, weight_bits: int, activation_bits: int) -> KernelQuantizeConfig:
        """Returns the config of a layer of these bit-widths, 2..8 each."""
        ...

    def default_config(self) -> KernelQuantizeConfig:
        """Returns the config of a layer that neither `layers` nor the boundary decides about."""
        ...
