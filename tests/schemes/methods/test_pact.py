"""PACT's scheme: its quantizers."""

from __future__ import annotations

import tf_n2uq
from tf_n2uq.quantizers import DoReFaQuantizer, PACTQuantizer

AXES = (-2, -1)


def test_the_config_has_the_methods_quantizers():
    config = tf_n2uq.PACTScheme(3, weight_bits=2).default_config()
    assert config.kernel_quantizer(AXES) == DoReFaQuantizer(2, channel_axis=AXES)
    assert config.input_quantizer() == PACTQuantizer(3, 'paper')
    assert tf_n2uq.method('pact').scheme is tf_n2uq.PACTScheme
