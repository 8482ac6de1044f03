"""What the rewrite has decided about a layer with a kernel."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class KernelRole:
    """Names of the layers that a kernel computes with in an integer network.

    Attributes:
        input_quantizer: the `Quantize` layer that makes the int8 tensor that the kernel
            multiplies; None if there is no single one.
        line: the layer behind the kernel whose slope and offset the kernel's operator takes on, a
            batch normalization as a rule; None if there is none.
        is_last: whether no layer reads the kernel's output except an 8-bit range at the end.
    """

    input_quantizer: str | None = None
    line: str | None = None
    is_last: bool = False
