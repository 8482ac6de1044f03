"""Slices with operators that XNNPACK has for integers."""

from __future__ import annotations

import tensorflow as tf

from tf_n2uq.layers import Slice


def every_nth(inputs: tf.Tensor, axis: int, start: int, count: int, step: int) -> tf.Tensor:
    """Takes every n-th number along an axis, with slices of step 1.

    XNNPACK has no slices of other steps. The axis is split into groups of as many numbers as the
    step, and the same number of each group is taken.

    Args:
        inputs: a tensor whose shape is known.
        axis: the axis.
        start: the first index.
        count: how many numbers are taken.
        step: the distance between two of them. `group_start` must not be None.

    Returns:
        A tensor in the shape of `inputs`, with `count` numbers along the axis.
    """
    first = group_start(inputs.shape[axis], start, count, step)
    assert first is not None
    before, after = inputs.shape[:axis].as_list(), inputs.shape[axis + 1 :].as_list()
    whole = [slice(None)] * axis
    groups = inputs[(*whole, slice(first, first + count * step))]
    size = tf.TensorShape(before).num_elements()
    split = tf.reshape(groups, [size * count, step, tf.TensorShape(after).num_elements()])
    place = start - first
    return tf.reshape(split[:, place : place + 1], [*before, count, *after])


def group_start(size: int, start: int, count: int, step: int) -> int | None:
    """Returns where groups of numbers begin that each hold one number of a slice.

    Args:
        size: the size of the axis.
        start: the first index of the slice.
        count: how many numbers are taken.
        step: the distance between two of them, and the size of a group.

    Returns:
        The index, at most `start`; None if the axis has no room for the groups.
    """
    first = min(start, size - count * step)
    return first if first >= 0 else None


def run_slice(layer: Slice, inputs: tf.Tensor) -> tf.Tensor:
    """Takes the part of each axis that a `Slice` takes, with slices of step 1."""
    whole = [slice(None)] * inputs.shape.rank
    parts = zip(layer.starts, layer.counts, layer.steps, strict=True)
    for axis, (start, count, step) in enumerate(parts, start=1):
        if count is None:
            continue
        if step > 1 and count > 1:
            inputs = every_nth(inputs, axis, start, count, step)
        else:
            whole[axis] = slice(start, start + count)
    return inputs[tuple(whole)]
