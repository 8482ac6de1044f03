import numpy as np
import pytest
import tensorflow as tf

from tf_n2uq.tflite.network.pixels import to_channels, to_pixels


@pytest.mark.parametrize('size', [1, 2, 3])
def test_pixels_and_channels_move_as_tensorflow_moves_them(size):
    x = np.random.default_rng(0).normal(size=(2, 6, 12, 18)).astype(np.float32)
    if size > 1:
        block = tf.nn.space_to_depth(x, size)
        np.testing.assert_array_equal(to_channels(tf.constant(x), (size, size)), block)
        np.testing.assert_array_equal(to_pixels(block, (size, size)), x)
    else:
        np.testing.assert_array_equal(to_pixels(tf.constant(x), (1, 1)), x)


@pytest.mark.parametrize('size', [(1, 3), (2, 1), (3, 2)])
def test_rows_and_columns_may_have_sizes_of_their_own(size):
    x = np.random.default_rng(0).normal(size=(2, 6, 12, 4)).astype(np.float32)
    deep = to_channels(tf.constant(x), size)
    assert deep.shape == (2, 6 // size[0], 12 // size[1], 4 * size[0] * size[1])
    np.testing.assert_array_equal(deep[0, 1, 2, :4], x[0, size[0], 2 * size[1]])
    np.testing.assert_array_equal(to_pixels(deep, size), x)
