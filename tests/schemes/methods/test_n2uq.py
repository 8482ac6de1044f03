"""N2UQ's scheme: its quantizers."""

from __future__ import annotations

import tf_n2uq
from tf_n2uq.quantizers import EntropyPreservingQuantizer, LearnableThresholdQuantizer

AXES = (-2, -1)


def test_the_config_has_the_methods_quantizers():
    config = tf_n2uq.N2UQScheme(3, weight_bits=2).default_config()
    assert config.kernel_quantizer(AXES) == EntropyPreservingQuantizer(2, AXES)
    assert config.input_quantizer() == LearnableThresholdQuantizer(3)
    assert tf_n2uq.method('n2uq').scheme is tf_n2uq.N2UQScheme
