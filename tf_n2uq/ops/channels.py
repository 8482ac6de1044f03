"""Which axes of a kernel are reduced when something is computed per output channel."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf


def reduction_axes(shape: tf.TensorShape, channel_axis: int | Sequence[int]) -> list[int]:
    """All axes but the channels'.

    Args:
        shape: A kernel's shape, rank known.
        channel_axis: One axis or several, negative ones counted from the end.

    Returns:
        The other axes, ascending.

    Raises:
        ValueError: The rank is unknown, or an axis is not one of the kernel's.
    """
    rank = shape.rank
    if rank is None:
        raise ValueError('kernel: expected a tensor of known rank, got one of unknown rank.')
    axes = [channel_axis] if isinstance(channel_axis, int) else list(channel_axis)
    for axis in axes:
        if not -rank <= axis < rank:
            raise ValueError(
                f'channel_axis: expected axes from {-rank} to {rank - 1} for a kernel of shape '
                f'{shape}, got {channel_axis}.'
            )
    channels = {axis % rank for axis in axes}
    return [axis for axis in range(rank) if axis not in channels]
