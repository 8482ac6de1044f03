import numpy as np
import pytest

from tests.known_layers.taken_apart import as_file
from tf_n2uq.layers import DepthToSpace, Slice, SpaceToDepth
from tf_n2uq.layers.layer_spec import Kind, kind_of, refusal_of


@pytest.mark.parametrize(
    'layers',
    [[DepthToSpace(2)], [SpaceToDepth(2)], [Slice([0, 1, 1], [None, 3, 4], [1, 2, 2])]],
    ids=['depth_to_space', 'space_to_depth', 'slice'],
)
def test_the_file_moves_what_keras_moves(layers):
    assert kind_of(layers[0]) is Kind.SAME_SCALE
    _, in_keras, in_file = as_file(layers[0], (8, 8, 3))
    np.testing.assert_allclose(in_file, in_keras, atol=0.01)


def test_slices_without_room_for_whole_groups_are_refused():
    layer = Slice([0, 0, 0], [None, None, 3], [1, 1, 2])
    assert refusal_of(layer, (None, 4, 4, 6)) is None
    assert 'takes each number 2 of 5 along axis 3' in refusal_of(layer, (None, 4, 4, 5))
