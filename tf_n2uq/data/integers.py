"""A check that an argument is an integer."""

from __future__ import annotations

import operator
from typing import Any


def integer(value: Any, name: str) -> int:
    """Returns an integer of Python or NumPy as an int.

    Args:
        value: The user's value.
        name: The name of the user's argument, for the error.

    Raises:
        TypeError: `value` is not an integer.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        return operator.index(value)
    except TypeError:
        raise TypeError(
            f'{name}: expected an integer, got {value!r}. Give a whole number.'
        ) from None
