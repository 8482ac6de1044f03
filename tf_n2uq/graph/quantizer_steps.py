"""The two kinds of quantizers in a graph."""

from __future__ import annotations

from tf_n2uq.graph.graph import Step
from tf_n2uq.layers.quantize import Quantize
from tf_n2uq.quantizers import RangeQuantizer


def is_thresholds(step: Step) -> bool:
    """Tells whether a step maps numbers to levels."""
    return isinstance(step.layer, Quantize) and not is_range(step)


def is_range(step: Step) -> bool:
    """Tells whether a step is an 8-bit range."""
    return isinstance(step.layer, Quantize) and isinstance(step.layer.quantizer, RangeQuantizer)
