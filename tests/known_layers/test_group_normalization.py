import numpy as np
import pytest
import tf_keras as keras

from tests.known_layers.taken_apart import as_file, in_float
from tests.networks import quantize

GroupNormalization = keras.layers.GroupNormalization


@pytest.mark.parametrize('shape', [(8,), (5, 8), (4, 5, 8)])
@pytest.mark.parametrize(
    'options',
    [
        {'groups': 4},
        {'groups': 1, 'center': False},
        {'groups': -1, 'scale': False},
        {'groups': 2, 'center': False, 'scale': False, 'epsilon': 0.1},
    ],
    ids=str,
)
def test_the_parts_compute_what_the_layer_does(shape, options):
    expected, got = in_float(GroupNormalization(**options), shape)
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize('groups', [1, 2])
def test_the_file_computes_what_keras_does(groups):
    exact, in_keras, in_file = as_file(lambda x: GroupNormalization(groups)(x), (8, 8, 3))
    # One number per group decides about all its channels: where it is rounded otherwise, some
    # outputs are one step off.
    assert np.max(np.abs(in_file - in_keras)) < 1.01
    assert np.mean(np.abs(in_file - in_keras) > 0.5) < 0.15
    assert np.corrcoef(in_keras.ravel(), exact.ravel())[0, 1] > 0.995


def test_groups_along_another_axis_are_refused():
    inputs = keras.Input((4, 6, 6))
    x = GroupNormalization(2, axis=1, name='odd_one')(keras.layers.Conv2D(6, 1)(inputs))
    with pytest.raises(ValueError, match="'odd_one' has groups along axis 1; expected the last"):
        quantize(keras.Model(inputs, keras.layers.Conv2D(2, 1)(x)))
