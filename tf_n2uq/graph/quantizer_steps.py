"""The two kinds of quantizers in a graph, and the roles of quantized kernels."""

from __future__ import annotations

from tf_n2uq.graph.graph import Step
from tf_n2uq.layers.kernel_use import KernelRole
from tf_n2uq.layers.quantize import Quantize
from tf_n2uq.layers.quantized_kernel import QuantizedKernel, use_of
from tf_n2uq.quantizers import RangeQuantizer


def is_thresholds(step: Step) -> bool:
    """Tells whether a step is a quantizer that compares numbers to thresholds between levels."""
    return isinstance(step.layer, Quantize) and not is_range(step)


def is_range(step: Step) -> bool:
    """Tells whether a step is a quantizer to 8 bits with a trained or fixed range."""
    return isinstance(step.layer, Quantize) and isinstance(step.layer.quantizer, RangeQuantizer)


def role_of(step: Step) -> KernelRole | None:
    """Returns the role of a quantized kernel in one call; None for any other step.

    It is also None if the rewrite has not decided yet.
    """
    layer = step.layer
    return layer.use(use_of(step.kwargs)).role if isinstance(layer, QuantizedKernel) else None
