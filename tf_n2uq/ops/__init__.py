"""The functions of the methods on tensors, a file each; they need TensorFlow alone."""

from tf_n2uq.ops.dorefa import dorefa, dorefa_elementwise, dorefa_factor, dorefa_integers
from tf_n2uq.ops.lsq import lsq, lsq_levels
from tf_n2uq.ops.lsq_plus import lsq_plus, lsq_plus_levels, lsq_plus_lowest
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
from tf_n2uq.ops.pact import check_gradient, pact, pact_levels
from tf_n2uq.ops.rescaling import check_rescale, rescale_factor
from tf_n2uq.ops.uniform import symmetric, symmetric_integers
from tf_n2uq.ops.unit_levels import quantize_unit, unit_levels

__all__ = [
    'check_gradient',
    'check_rescale',
    'dorefa',
    'dorefa_elementwise',
    'dorefa_factor',
    'dorefa_integers',
    'entropy_preserving',
    'floored_intervals',
    'interval_thresholds',
    'kernel_integers',
    'kernel_scale',
    'learnable_threshold',
    'learnable_threshold_elementwise',
    'lsq',
    'lsq_levels',
    'lsq_plus',
    'lsq_plus_levels',
    'lsq_plus_lowest',
    'pact',
    'pact_levels',
    'quantize_unit',
    'rescale_factor',
    'symmetric',
    'symmetric_integers',
    'threshold_levels',
    'unit_levels',
]
