"""What the rewrite asks of a scheme."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from tf_n2uq.layers import Deployment
from tf_n2uq.schemes.rewrite.kernel_config import KernelQuantizeConfig


class BitPolicy(Protocol):
    """Bit-widths of a network, and the config of each layer that has a kernel.

    Attributes:
        boundary_bits: 8, or None for float: bit-width of the layers next to the model's inputs and
            outputs.
        tensor_bits: 8, or None for float: bit-width of every other tensor.
        layers: bit-width (or None for float) per regular expression of layer names.
        deployment: the grid of levels and biases in an integer file.
    """

    boundary_bits: int | None
    tensor_bits: int | None
    layers: Mapping[str, int | None]
    deployment: Deployment

    def make_config(self, weight_bits: int, activation_bits: int) -> KernelQuantizeConfig:
        """Returns the method's config for a layer of these bit-widths."""

    def default_config(self) -> KernelQuantizeConfig:
        """Returns the config of a layer that nothing else was said about."""
