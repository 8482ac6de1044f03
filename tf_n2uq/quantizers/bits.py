"""The check of bit-widths that users give."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Iterable

FEWEST_BITS = 2
MOST_BITS = 8


def check_bits(bits: int, name: str = 'bits') -> int:
    """Returns a bit-width as an `int`, or says what is wrong with it.

    Args:
        bits: The bit-width that a user gave, of any integer type.
        name: The name of the user's argument, for the error.

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


def check_bit_widths(bits: Iterable[int], name: str = 'bits') -> tuple[int, ...]:
    """Returns the bit-widths of an adaptive network, or says what is wrong with them.

    Args:
        bits: The bit-widths that a user gave, any iterable of integers.
        name: The name of the user's argument, for the error.

    Returns:
        `bits`.

    Raises:
        TypeError: `bits` is not an iterable of integers.
        ValueError: A bit-width is not in 2..8, they do not descend, or there are none.
    """
    if isinstance(bits, (str, bytes)) or not isinstance(bits, Iterable):
        raise TypeError(
            f'{name}: expected bit-widths such as (8, 6, 5, 4), got {bits!r}; give a tuple.'
        )
    widths = tuple(check_bits(value, f'{name}[{index}]') for index, value in enumerate(bits))
    if not widths:
        raise ValueError(f'{name}: expected at least one bit-width, got none; give (8, 4).')
    if any(higher <= lower for higher, lower in itertools.pairwise(widths)):
        ordered = tuple(sorted(set(widths), reverse=True))
        raise ValueError(
            f'{name}: expected each bit-width once, from the highest to the lowest, got {widths}; '
            f'give {ordered}.'
        )
    return widths
