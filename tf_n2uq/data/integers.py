"""Checks of arguments."""

from __future__ import annotations

import operator


def integer(value: int, name: str) -> int:
    """Returns an integer as Python's own.

    Raises:
        TypeError: if it is not one.
    """
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f'{name}: expected an integer, got {value!r}.') from None
