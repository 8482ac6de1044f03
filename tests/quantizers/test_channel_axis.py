"""The check of channel axes."""

from __future__ import annotations

import numpy as np
import pytest

from tf_n2uq.quantizers.channel_axis import check_channel_axis


@pytest.mark.parametrize(
    ('given', 'expected'),
    [(-1, -1), (np.int64(3), 3), ((-2, -1), (-2, -1)), ([-2, -1], (-2, -1))],
)
def test_an_axis_is_an_int_and_several_are_a_tuple(given, expected):
    assert check_channel_axis(given) == expected
    assert type(check_channel_axis(given)) is type(expected)


@pytest.mark.parametrize('given', [None, 1.0, '-1', [1.5]])
def test_other_axes_are_told_what_to_give(given):
    with pytest.raises(TypeError, match=r'channel_axis: expected an integer .* \(-2, -1\) for a'):
        check_channel_axis(given)
