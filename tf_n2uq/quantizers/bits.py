"""The one check of a number of bits."""

from __future__ import annotations

import operator

FEWEST_BITS = 2
MOST_BITS = 8


def check_bits(bits: int, name: str = 'bits') -> int:
    """Returns a number of bits as an `int`, or says what is wrong with it.

    Args:
        bits: What a user gave; any integer type.
        name: What the user knows it as, for the error.

    Returns:
        `bits`.

    Raises:
        TypeError: `bits` is not an integer.
        ValueError: `bits` is not in 2..8.
    """
    expected = f'{name}: expected an integer from {FEWEST_BITS} to {MOST_BITS}'
    try:
        if isinstance(bits, bool):
            raise TypeError
        number = operator.index(bits)
    except TypeError:
        raise TypeError(
            f'{expected}, got {bits!r} of type {type(bits).__name__}; give an int.'
        ) from None
    if not FEWEST_BITS <= number <= MOST_BITS:
        raise ValueError(f'{expected}, got {number}; choose a bit-width in that range.')
    return number
