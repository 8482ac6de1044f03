"""The axes of a kernel over which something is computed per output channel."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf


def reduction_axes(shape: tf.TensorShape, channel_axis: int | Sequence[int]) -> list[int]:
    """Returns all axes of a kernel except those of the output channels.

    Args:
        shape: The shape of a kernel, of known rank.
        channel_axis: One axis or several; negative axes count from the end.

    Returns:
        The other axes, ascending.

    Raises:
        ValueError: The rank is unknown, or an axis is not one of the kernel's.
    """
    rank = shape.rank
    if rank is None:
        raise ValueError(
            'kernel: expected a tensor of known rank, got one of unknown rank; set its shape.'
        )
    axes = [channel_axis] if isinstance(channel_axis, int) else list(channel_axis)
    channels: set[int] = set()
    for axis in axes:
        if not -rank <= axis < rank:
            raise ValueError(
                f'channel_axis: expected axes from {-rank} to {rank - 1} for a kernel of shape '
                f'{shape}, got {channel_axis}; give the axis of the output channels.'
            )
        channels.add(axis % rank)
    return sorted(set(range(rank)) - channels)
