"""Checks of numeric arguments."""

import numpy as np
import pytest

from tf_n2uq.training import arguments


def test_numbers_of_python_and_numpy_are_taken():
    for value in (2, 2.0, np.float32(2), np.int64(2)):
        assert arguments.finite_number(value, '`x`') == 2.0
        assert arguments.number_above_zero(value, '`x`') == 2.0
    for value in (2, np.int64(2)):
        found = arguments.positive_integer(value, '`x`')
        assert found == 2
        assert type(found) is int


@pytest.mark.parametrize('value', [None, '1', True, [1], 1j])
def test_what_is_no_number_is_a_type_error(value):
    for check in (arguments.finite_number, arguments.number_above_zero, arguments.positive_integer):
        with pytest.raises(TypeError, match='`x` must be'):
            check(value, '`x`')


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
def test_what_is_not_finite_is_a_value_error(value):
    with pytest.raises(ValueError, match='`x` must be finite'):
        arguments.finite_number(value, '`x`')


def test_bounds():
    for value in (0, -1.5):
        assert arguments.finite_number(value, '`x`') == value
        with pytest.raises(ValueError, match='`x` must be above zero'):
            arguments.number_above_zero(value, '`x`')
    for value in (0, -3):
        with pytest.raises(ValueError, match='`x` must be at least 1'):
            arguments.positive_integer(value, '`x`')
