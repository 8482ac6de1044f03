from __future__ import annotations

import numpy as np
import pytest

from tf_n2uq.quantizers import check_bits


@pytest.mark.parametrize('bits', [2, 8, np.int64(4)])
def test_integers_in_range_pass_as_int(bits):
    assert check_bits(bits) == bits
    assert type(check_bits(bits)) is int


@pytest.mark.parametrize('bits', [1, 9, 0, -2])
def test_out_of_range_is_named(bits):
    with pytest.raises(ValueError, match=f'weight_bits: .* from 2 to 8, got {bits}'):
        check_bits(bits, 'weight_bits')


@pytest.mark.parametrize('bits', [2.0, '2', None, True, [2]])
def test_other_types_are_named(bits):
    with pytest.raises(TypeError, match='bits: expected an integer from 2 to 8, got .* of type'):
        check_bits(bits)
