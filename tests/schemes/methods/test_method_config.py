"""The base class of configs: a method from 2 to 7 bits, plain int8 at 8."""

from __future__ import annotations

import pytest

import tf_n2uq
from tf_n2uq.quantizers import (
    LSQInputQuantizer,
    LSQQuantizer,
    RangeQuantizer,
    SymmetricQuantizer,
)


def test_each_side_has_its_own_bits():
    config = tf_n2uq.LSQQuantizeConfig(4, weight_bits=8)
    assert config.kernel_quantizer(-1) == SymmetricQuantizer(8)
    assert config.input_quantizer() == config.activation_quantizer() == LSQInputQuantizer(4)
    config = tf_n2uq.LSQQuantizeConfig(4, activation_bits=8)
    assert config.kernel_quantizer(-1) == LSQQuantizer(4)
    assert config.input_quantizer() is None
    assert config.activation_quantizer() == RangeQuantizer(8)


def test_configs_are_compared_and_printed_by_their_bits():
    config = tf_n2uq.LSQQuantizeConfig(4, weight_bits=3)
    assert config == tf_n2uq.LSQQuantizeConfig(4, 3, 4)
    assert hash(config) == hash(tf_n2uq.LSQQuantizeConfig(4, 3, 4))
    assert config != tf_n2uq.LSQPlusQuantizeConfig(4, weight_bits=3)
    assert repr(config) == 'LSQQuantizeConfig(bits=4, weight_bits=3, activation_bits=4)'


@pytest.mark.parametrize('name', ['bits', 'weight_bits', 'activation_bits'])
@pytest.mark.parametrize(('value', 'error'), [(1, ValueError), (9, ValueError), (2.5, TypeError)])
def test_wrong_bits_are_named(name, value, error):
    with pytest.raises(error, match=f'^{name}: expected an integer from 2 to 8'):
        tf_n2uq.LSQQuantizeConfig(**{name: value})
