"""Checks of numeric arguments."""

import numpy as np
import pytest

from tf_n2uq.training import argument_checks


def test_numbers_of_python_and_numpy_are_taken():
    for value in (2, 2.0, np.float32(2), np.int64(2)):
        assert argument_checks.finite_number(value, 'x') == 2.0
        assert argument_checks.number_above_zero(value, 'x') == 2.0
    for value in (2, np.int64(2)):
        found = argument_checks.positive_integer(value, 'x')
        assert found == 2
        assert type(found) is int


@pytest.mark.parametrize('value', [None, '1', True, [1], 1j])
def test_what_is_no_number_is_a_type_error(value):
    for check in (
        argument_checks.finite_number,
        argument_checks.number_above_zero,
        argument_checks.positive_integer,
    ):
        with pytest.raises(TypeError, match='^x: expected .*Give'):
            check(value, 'x')


@pytest.mark.parametrize('value', [float('nan'), float('inf'), -float('inf')])
def test_what_is_not_finite_is_a_value_error(value):
    with pytest.raises(ValueError, match='^x: expected a finite number'):
        argument_checks.finite_number(value, 'x')


@pytest.mark.parametrize('value', [0, 1, None, 'yes'])
def test_only_true_and_false_are_true_or_false(value):
    with pytest.raises(TypeError, match='^x: expected True or False, got'):
        argument_checks.true_or_false(value, 'x')
    assert argument_checks.true_or_false(True, 'x') is True


def test_none_may_stand_beside_true_and_false():
    for value in (True, False, None):
        assert argument_checks.bool_or_none(value, 'x') is value
    with pytest.raises(TypeError, match='^x: expected True, False or None, got 0'):
        argument_checks.bool_or_none(0, 'x')


def test_zero_is_the_lowest_number_from_zero():
    assert argument_checks.number_from_zero(0, 'x') == 0.0
    with pytest.raises(ValueError, match='^x: expected at least 0, got -0.5'):
        argument_checks.number_from_zero(-0.5, 'x')


def test_bounds():
    for value in (0, -1.5):
        assert argument_checks.finite_number(value, 'x') == value
        with pytest.raises(ValueError, match='^x: expected a number above zero'):
            argument_checks.number_above_zero(value, 'x')
    for value in (0, -3):
        with pytest.raises(ValueError, match='^x: expected at least 1'):
            argument_checks.positive_integer(value, 'x')
