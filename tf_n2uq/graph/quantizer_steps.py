"""The two kinds of quantizers in a graph."""

from __future__ import annotations

from tf_n2uq.graph.graph import Step
from tf_n2uq.layers.quantize import Quantize
from tf_n2uq.quantizers import RangeQuantizer


def is_thresholds(step: Step) -> bool:
    """Tells whether a step is a quantizer that compares numbers to thresholds between levels."""
    return isinstance(step.layer, Quantize) and not is_range(step)


def is_range(step: Step) -> bool:
    """Tells whether a step is a quantizer to 8 bits with a trained or fixed range."""
    return isinstance(step.layer, Quantize) and isinstance(step.layer.quantizer, RangeQuantizer)
