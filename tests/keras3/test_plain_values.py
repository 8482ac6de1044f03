import numpy as np
import pytest

from tf_n2uq.keras3.plain_values import decoded


def test_values_are_those_that_keras_3_has_written():
    written = [
        {'class_name': '__tuple__', 'items': [1, None]},
        {'class_name': '__slice__', 'config': {'start': 1, 'stop': None, 'step': 2}},
        {'class_name': '__ellipsis__', 'config': {}},
        {'a': {'class_name': '__keras_tensor__', 'config': {'shape': [3]}}},
    ]
    values = decoded(written, lambda config: config['shape'])
    assert values == [(1, None), slice(1, None, 2), Ellipsis, {'a': [3]}]
    array = decoded({'class_name': '__numpy__', 'config': {'value': [1, 2], 'dtype': 'int8'}})
    np.testing.assert_array_equal(array, np.array([1, 2], np.int8))


@pytest.mark.parametrize(
    'written',
    [
        {'class_name': '__lambda__', 'config': {}},
        {'class_name': 'Dense', 'config': {}},
        {'class_name': '__numpy__', 'config': {'value': [1], 'dtype': 'S1000000000'}},
    ],
)
def test_other_objects_are_refused(written):
    with pytest.raises(ValueError, match='model: expected'):
        decoded(written)
