"""The config of the one layer of N2UQ's MobileNetV2 whose input is clipped."""

from __future__ import annotations

import pytest
import tf_keras as keras

import tf_n2uq
from tf_n2uq.quantizers import EntropyPreservingQuantizer, PACTQuantizer


def test_the_kernel_is_n2uqs_and_the_input_pacts():
    config = tf_n2uq.N2UQPACTQuantizeConfig(4)
    assert config.kernel_quantizer(-1) == EntropyPreservingQuantizer(4)
    assert config.input_quantizer() == PACTQuantizer(4, 'published_n2uq')
    data = keras.saving.serialize_keras_object(config)
    assert keras.saving.deserialize_keras_object(data) == config


def test_eight_bits_are_told_the_config_for_them():
    with pytest.raises(ValueError, match='bits: expected 2 to 7, got 8.*N2UQQuantizeConfig'):
        tf_n2uq.N2UQPACTQuantizeConfig(8)
