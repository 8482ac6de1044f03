import numpy as np
import pytest
import tensorflow as tf

from tf_n2uq.layers import DepthToSpace, SpaceToDepth


def test_each_undoes_the_other():
    x = np.random.default_rng(0).normal(size=(2, 4, 6, 3)).astype(np.float32)
    deep = SpaceToDepth(2)
    assert deep(x).shape == deep.compute_output_shape(x.shape) == (2, 2, 3, 12)
    np.testing.assert_array_equal(deep(x), tf.nn.space_to_depth(x, 2))
    wide = DepthToSpace.from_config(DepthToSpace(2).get_config())
    assert wide.compute_output_shape((None, None, 3, 12)).as_list() == [None, None, 6, 3]
    np.testing.assert_array_equal(wide(deep(x)), x)


@pytest.mark.parametrize('size', [1, 2.0, True])
def test_blocks_have_at_least_two_rows(size):
    with pytest.raises(ValueError, match='block_size: expected a whole number of at least 2'):
        DepthToSpace(size)
