import numpy as np
import pytest

from tf_n2uq.layers import Slice


def test_it_takes_a_part_of_each_axis():
    x = np.random.default_rng(0).normal(size=(2, 6, 5, 7)).astype(np.float32)
    layer = Slice.from_config(Slice([1, 0, 2], [3, None, 2], [2, 1, 3]).get_config())
    np.testing.assert_array_equal(layer(x), x[:, 1::2, :, 2:6:3])
    assert layer.compute_output_shape(x.shape) == (2, 3, 5, 2)
    assert layer.compute_output_shape((None, 6, None, 7)).as_list() == [None, 3, None, 2]


@pytest.mark.parametrize(
    'arguments', [([0], [1, 1]), ([-1], [1]), ([0], [0]), ([0], [1], [0]), ([1], [None])]
)
def test_there_is_one_part_for_each_axis(arguments):
    with pytest.raises(ValueError, match='starts, counts, steps: expected one number'):
        Slice(*arguments)
