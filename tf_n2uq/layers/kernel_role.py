"""The decisions of the rewrite about a layer with a kernel."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class KernelRole:
    """Names of the layers that a kernel computes with in an integer network.

    Attributes:
        input_quantizer: the name of the `Quantize` layer that makes the int8 tensor which the
            kernel multiplies; None if no single layer makes this tensor.
        line: the name of the layer behind the kernel whose slope and offset the kernel's operator
            takes on, as a rule a batch normalization; None if the operator takes on no layer.
        is_last: whether no layer but an 8-bit range at the end reads the kernel's output.
    """

    input_quantizer: str | None = None
    line: str | None = None
    is_last: bool = False
