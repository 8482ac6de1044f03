"""Mathematics on tensors: one file per published method. Knows only TensorFlow."""

from tf_n2uq.ops.n2uq import (
    entropy_preserving,
    floored_intervals,
    interval_thresholds,
    kernel_integers,
    kernel_scale,
    learnable_threshold,
    learnable_threshold_elementwise,
    threshold_levels,
)
from tf_n2uq.ops.pact import pact, pact_levels
from tf_n2uq.ops.uniform import symmetric, symmetric_integers

__all__ = [
    'entropy_preserving',
    'floored_intervals',
    'interval_thresholds',
    'kernel_integers',
    'kernel_scale',
    'learnable_threshold',
    'learnable_threshold_elementwise',
    'pact',
    'pact_levels',
    'symmetric',
    'symmetric_integers',
    'threshold_levels',
]
