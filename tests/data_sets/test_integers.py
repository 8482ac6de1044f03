"""The check of integers."""

import numpy as np
import pytest

from tf_n2uq.data.integers import integer


@pytest.mark.parametrize('value', [3, np.int8(3), np.uint64(3)])
def test_integers_of_python_and_numpy_become_pythons(value):
    found = integer(value, 'count')
    assert found == 3
    assert type(found) is int


@pytest.mark.parametrize('value', [3.0, '3', None, True, np.bool_(True), np.float32(3), [3]])
def test_what_is_no_integer_is_named(value):
    with pytest.raises(TypeError, match='^count: expected an integer, got .*Give'):
        integer(value, 'count')
