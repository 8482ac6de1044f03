"""The config of a layer that switches: one config per bit-width."""

from __future__ import annotations

import json

import pytest
import tf_keras as keras

import tf_n2uq
from tf_n2uq.quantizers import (
    AdaptiveQuantizer,
    LSQInputQuantizer,
    LSQQuantizer,
    RangeQuantizer,
    SymmetricQuantizer,
)

CONFIG = tf_n2uq.AdaBitsScheme((8, 4, 2), method='lsq').default_config()


def test_each_bit_width_has_the_quantizers_of_its_config():
    kernel = CONFIG.kernel_quantizer(-1)
    assert kernel.quantizers == {8: SymmetricQuantizer(8), 4: LSQQuantizer(4), 2: LSQQuantizer(2)}
    inputs = CONFIG.input_quantizer()
    assert inputs == AdaptiveQuantizer({8: None, 4: LSQInputQuantizer(4), 2: LSQInputQuantizer(2)})
    assert CONFIG.activation_quantizer() == inputs


def test_inputs_that_do_not_switch_have_their_8_bit_range():
    config = tf_n2uq.AdaBitsScheme((4, 2), method='lsq', weight_only=True).default_config()
    assert config.input_quantizer() is None
    assert config.activation_quantizer() == RangeQuantizer(8)
    added = config.with_bits(3).configs[3]
    assert (added.weight_bits, added.activation_bits) == (3, 8)


def test_it_is_serialized_with_all_configs_and_the_active_bit_width():
    config = tf_n2uq.AdaptiveQuantizeConfig(CONFIG.configs, active_bits=4)
    data = json.loads(json.dumps(keras.saving.serialize_keras_object(config)))
    again = keras.saving.deserialize_keras_object(data)
    assert again == config
    assert again.active_bits == 4


def test_a_bit_width_is_added_in_its_place():
    config = CONFIG.with_bits(3)
    assert list(config.configs) == [8, 4, 3, 2]
    assert config.configs[3].weight_bits == config.configs[3].activation_bits == 3
    assert list(CONFIG.configs) == [8, 4, 2]


def test_wrong_bit_widths_are_named():
    configs = {4: tf_n2uq.LSQQuantizeConfig(4), 8: tf_n2uq.LSQQuantizeConfig(8)}
    with pytest.raises(ValueError, match='configs: expected each bit-width once, from the highest'):
        tf_n2uq.AdaptiveQuantizeConfig(configs)
    with pytest.raises(ValueError, match=r'active_bits: expected one of \(8, 4, 2\), got 3'):
        tf_n2uq.AdaptiveQuantizeConfig(CONFIG.configs, active_bits=3)
