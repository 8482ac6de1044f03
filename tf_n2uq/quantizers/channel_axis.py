"""The check of a kernel's channel axis that users give."""

from __future__ import annotations

import operator
from collections.abc import Sequence


def check_channel_axis(channel_axis: int | Sequence[int]) -> int | tuple[int, ...]:
    """Returns an axis as an `int`, or several (a list, after loading) as a tuple.

    Args:
        channel_axis: The axis or axes that a user or a config gave.

    Returns:
        An `int`, or a tuple of them.

    Raises:
        TypeError: `channel_axis` is neither an integer nor a sequence of integers.
    """
    try:
        if isinstance(channel_axis, Sequence):
            return tuple(operator.index(axis) for axis in channel_axis)
        return operator.index(channel_axis)
    except TypeError:
        raise TypeError(
            f'channel_axis: expected an integer or a tuple of integers, got {channel_axis!r}; '
            'give -1, or (-2, -1) for a depthwise kernel.'
        ) from None
