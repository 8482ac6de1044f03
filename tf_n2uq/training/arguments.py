"""Checks of numeric arguments, with errors that name the argument."""

from __future__ import annotations

import math
import numbers
from typing import Any


def finite_number(value: Any, name: str) -> float:
    """Returns `value` as a float.

    Args:
        value: What the caller got.
        name: What the argument is called, for the error.

    Raises:
        TypeError: `value` is not a real number.
        ValueError: `value` is NaN or infinite.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f'{name} must be a number, got {value!r}.')
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f'{name} must be finite, got {value!r}.')
    return number


def number_above_zero(value: Any, name: str) -> float:
    """Returns `value` as a float above zero; errors as `finite_number`."""
    number = finite_number(value, name)
    if number <= 0:
        raise ValueError(f'{name} must be above zero, got {value!r}.')
    return number


def positive_integer(value: Any, name: str) -> int:
    """Returns `value` as an int of at least one.

    Raises:
        TypeError: `value` is not an integer.
        ValueError: `value` is below one.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f'{name} must be an integer, got {value!r}.')
    if value < 1:
        raise ValueError(f'{name} must be at least 1, got {value!r}.')
    return int(value)


def bool_or_none(value: Any, name: str) -> bool | None:
    """Returns `value`, True, False or None.

    Raises:
        TypeError: `value` is something else.
    """
    if value is not None and not isinstance(value, bool):
        raise TypeError(f'{name} must be True, False or None, got {value!r}.')
    return value
