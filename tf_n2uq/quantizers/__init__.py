"""TFMOT quantizers: variables and configs around `tf_n2uq.ops`."""

from tf_n2uq.quantizers.adaptive_quantizer import AdaptiveQuantizer
from tf_n2uq.quantizers.base import ConfiguredQuantizer
from tf_n2uq.quantizers.bits import check_bit_widths, check_bits
from tf_n2uq.quantizers.dorefa import DoReFaQuantizer
from tf_n2uq.quantizers.dorefa_input import DoReFaInputQuantizer
from tf_n2uq.quantizers.entropy_preserving import EntropyPreservingQuantizer
from tf_n2uq.quantizers.fixed_range import FixedRangeQuantizer
from tf_n2uq.quantizers.learnable_threshold import LearnableThresholdQuantizer
from tf_n2uq.quantizers.lsq import LSQQuantizer
from tf_n2uq.quantizers.lsq_input import LSQInputQuantizer
from tf_n2uq.quantizers.lsq_plus import LSQPlusQuantizer
from tf_n2uq.quantizers.lsq_plus_input import LSQPlusInputQuantizer
from tf_n2uq.quantizers.pact import PACTQuantizer
from tf_n2uq.quantizers.protocols import (
    ActivationQuantizer,
    KernelQuantizer,
    LearningKernelQuantizer,
    ScaledQuantizer,
    TensorQuantizer,
    TensorRange,
)
from tf_n2uq.quantizers.range import RangeQuantizer, is_trained
from tf_n2uq.quantizers.statistics import TensorStatistics
from tf_n2uq.quantizers.symmetric import SymmetricQuantizer

__all__ = [
    'ActivationQuantizer',
    'AdaptiveQuantizer',
    'ConfiguredQuantizer',
    'DoReFaInputQuantizer',
    'DoReFaQuantizer',
    'EntropyPreservingQuantizer',
    'FixedRangeQuantizer',
    'KernelQuantizer',
    'LSQInputQuantizer',
    'LSQPlusInputQuantizer',
    'LSQPlusQuantizer',
    'LSQQuantizer',
    'LearnableThresholdQuantizer',
    'LearningKernelQuantizer',
    'PACTQuantizer',
    'RangeQuantizer',
    'ScaledQuantizer',
    'SymmetricQuantizer',
    'TensorQuantizer',
    'TensorRange',
    'TensorStatistics',
    'check_bit_widths',
    'check_bits',
    'is_trained',
]
