import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from tf_n2uq.tflite.passes.narrow_types import INT2, INT4, NARROW_TYPES

BOTH = list(NARROW_TYPES.values())


@hypothesis.given(st.sampled_from(BOTH), st.data())
def test_integers_unpack_to_what_was_packed(narrow, data):
    values = data.draw(st.lists(st.integers(narrow.lowest, narrow.highest)))
    packed = narrow.pack(np.asarray(values, np.int8))
    assert packed.dtype == np.uint8
    assert packed.shape == (narrow.bytes_of(len(values)),)
    assert narrow.unpack(packed, len(values)).tolist() == values


def test_the_first_value_is_in_the_low_bits():
    np.testing.assert_array_equal(INT4.pack(np.int8([1, -1, 7])), np.uint8([0xF1, 0x07]))
    np.testing.assert_array_equal(INT2.pack(np.int8([1, -1, 0, -2, -1])), np.uint8([0x8D, 0x03]))


def test_what_a_type_cannot_hold_is_refused():
    with pytest.raises(ValueError, match=r'-8\.\.7, got -8\.\.8'):
        INT4.pack(np.int8([-8, 8]))
    with pytest.raises(ValueError, match=r'-2\.\.1, got -3\.\.1'):
        INT2.pack(np.int8([-3, 1]))


@pytest.mark.parametrize('narrow', BOTH)
def test_a_type_holds_the_integers_between_its_ends(narrow):
    inside = np.arange(narrow.lowest, narrow.highest + 1)
    assert len(inside) == 1 << narrow.bits
    assert narrow.holds(inside)
    assert not narrow.holds(inside + 1)
    assert not narrow.holds(inside - 1)
