"""The axes over which something is computed per output channel."""

from __future__ import annotations

import pytest
import tensorflow as tf

from tf_n2uq.ops.channels import reduction_axes


@pytest.mark.parametrize(
    ('shape', 'channel_axis', 'axes'),
    [
        ((3, 3, 4, 8), -1, [0, 1, 2]),
        ((3, 3, 4, 8), 3, [0, 1, 2]),
        ((3, 3, 4, 8), -2, [0, 1, 3]),
        ((3, 3, 4, 1), (-2, -1), [0, 1]),
        ((4, 8), -1, [0]),
        ((8,), 0, []),
    ],
)
def test_all_axes_but_those_of_channels_are_reduced(shape, channel_axis, axes):
    assert reduction_axes(tf.TensorShape(shape), channel_axis) == axes


def test_an_axis_that_the_kernel_does_not_have_is_named():
    with pytest.raises(ValueError, match='channel_axis: expected axes from -2 to 1 .* got 2'):
        reduction_axes(tf.TensorShape([4, 8]), 2)


def test_an_unknown_rank_is_refused():
    with pytest.raises(ValueError, match='kernel: expected a tensor of known rank'):
        reduction_axes(tf.TensorShape(None), -1)
