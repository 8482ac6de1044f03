from __future__ import annotations

import numpy as np
import pytest

from tf_n2uq.quantizers import check_bit_widths, check_bits


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


@pytest.mark.parametrize('bits', [(8, 6, 5, 4), [4, 3, 2], np.array([3]), iter((5, 2))])
def test_descending_bit_widths_pass_as_a_tuple_of_ints(bits):
    widths = check_bit_widths(bits)
    assert widths in ((8, 6, 5, 4), (4, 3, 2), (3,), (5, 2))
    assert {type(width) for width in widths} == {int}


@pytest.mark.parametrize(
    ('bits', 'message'),
    [
        ((4, 8), r'from the highest to the lowest, got \(4, 8\); give \(8, 4\)'),
        ((8, 4, 4), r'each bit-width once.*give \(8, 4\)'),
        ((), 'at least one bit-width, got none'),
        ((9, 4), r'bits\[0\]: expected an integer from 2 to 8, got 9'),
    ],
)
def test_wrong_bit_widths_are_named(bits, message):
    with pytest.raises(ValueError, match=message):
        check_bit_widths(bits)


@pytest.mark.parametrize('bits', [4, '84', None, (8, 2.5)])
def test_what_is_no_list_of_bit_widths_is_named(bits):
    with pytest.raises(TypeError, match='bits.*: expected'):
        check_bit_widths(bits)
