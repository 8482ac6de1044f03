"""Checks of arguments, with errors that name the argument."""

from __future__ import annotations

import math
import numbers
from typing import Any


def finite_number(value: Any, name: str) -> float:
    """Returns a real number as a float.

    Args:
        value: The user's value.
        name: The name of the user's argument, for the error.

    Raises:
        TypeError: `value` is not a real number.
        ValueError: `value` is NaN or infinite.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f'{name}: expected a number, got {value!r}. Give an int or a float.')
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f'{name}: expected a finite number, got {value!r}. Give another one.')
    return number


def number_from_zero(value: Any, name: str) -> float:
    """Returns a real number as a float that is zero or above.

    Args:
        value: The user's value.
        name: The name of the user's argument, for the error.

    Raises:
        TypeError: `value` is not a real number.
        ValueError: `value` is NaN, infinite or negative.
    """
    number = finite_number(value, name)
    if number < 0:
        raise ValueError(f'{name}: expected at least 0, got {value!r}. Give a larger number.')
    return number


def number_above_zero(value: Any, name: str) -> float:
    """Returns a real number as a float above zero.

    Args:
        value: The user's value.
        name: The name of the user's argument, for the error.

    Raises:
        TypeError: `value` is not a real number.
        ValueError: `value` is NaN, infinite, zero or negative.
    """
    number = finite_number(value, name)
    if number <= 0:
        raise ValueError(
            f'{name}: expected a number above zero, got {value!r}. Give a larger number.'
        )
    return number


def share(value: Any, name: str) -> float:
    """Returns a real number from zero to one as a float.

    Args:
        value: The user's value.
        name: The name of the user's argument, for the error.

    Raises:
        TypeError: `value` is not a real number.
        ValueError: `value` is NaN, infinite, negative or above one.
    """
    number = number_from_zero(value, name)
    if number > 1:
        raise ValueError(f'{name}: expected at most 1, got {value!r}. Give a share, 0..1.')
    return number


def positive_integer(value: Any, name: str) -> int:
    """Returns an integer of at least one as an int.

    Args:
        value: The user's value.
        name: The name of the user's argument, for the error.

    Raises:
        TypeError: `value` is not an integer.
        ValueError: `value` is below one.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f'{name}: expected an integer, got {value!r}. Give a whole number.')
    if value < 1:
        raise ValueError(f'{name}: expected at least 1, got {value!r}. Give a larger number.')
    return int(value)


def true_or_false(value: Any, name: str) -> bool:
    """Returns True or False as it is.

    Args:
        value: The user's value.
        name: The name of the user's argument, for the error.

    Raises:
        TypeError: `value` is something else.
    """
    if not isinstance(value, bool):
        raise TypeError(f'{name}: expected True or False, got {value!r}. Give one of the two.')
    return value


def bool_or_none(value: Any, name: str) -> bool | None:
    """Returns True, False or None as it is.

    Args:
        value: The user's value.
        name: The name of the user's argument, for the error.

    Raises:
        TypeError: `value` is something else.
    """
    if value is not None and not isinstance(value, bool):
        raise TypeError(
            f'{name}: expected True, False or None, got {value!r}. Give one of the three.'
        )
    return value
