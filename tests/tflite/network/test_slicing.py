import numpy as np
import pytest
import tensorflow as tf

from tf_n2uq.layers import Slice
from tf_n2uq.tflite.network.slicing import every_nth, group_start, run_slice


@pytest.mark.parametrize(('start', 'step'), [(0, 2), (1, 2), (1, 3), (4, 2), (3, 5)])
@pytest.mark.parametrize('axis', [1, 2, 3])
def test_every_nth_number_of_an_axis_is_taken(axis, start, step):
    x = np.random.default_rng(0).normal(size=(2, 12, 12, 12)).astype(np.float32)
    expected = np.take(x, np.arange(start, 12, step), axis)
    count = expected.shape[axis]
    if group_start(12, start, count, step) is None:
        assert (start, step) == (3, 5)
    else:
        got = every_nth(tf.constant(x), axis, start, count, step)
        np.testing.assert_array_equal(got, expected)


def test_a_form_slices_all_axes():
    x = np.random.default_rng(0).normal(size=(1, 6, 5, 8)).astype(np.float32)
    layer = Slice([1, 0, 1], [3, None, 4], [2, 1, 2])
    result = run_slice(layer, tf.constant(x))
    np.testing.assert_array_equal(result, layer(x))
