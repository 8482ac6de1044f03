import numpy as np
import pytest

from tf_n2uq.graph.graph import Ref
from tf_n2uq.keras3.channel_order import (
    Order,
    Value,
    has_channels_first,
    order_of,
    place_of,
    to_first,
    to_last,
    with_channels_last,
)
from tf_n2uq.keras3.entry import Entry


def entry(class_name, **config):
    return Entry.of({'class_name': class_name, 'module': 'keras.layers', 'config': config})


@pytest.mark.parametrize('rank', [3, 4, 5])
def test_the_permutations_undo_each_other_and_move_each_axis_to_its_place(rank):
    array = np.zeros(range(2, rank + 2))
    moved = array.transpose(0, *to_last(rank))
    assert moved.transpose(0, *to_first(rank)).shape == array.shape
    for axis in range(-rank, rank):
        assert moved.shape[place_of(axis, rank)] == array.shape[axis]


@pytest.mark.parametrize(
    ('layer', 'last', 'expected'),
    [
        (entry('Conv2D', data_format='channels_first'), False, Order.LAST),
        (entry('Flatten', data_format='channels_first'), True, Order.COLLAPSING),
        (entry('BatchNormalization', axis=1), True, Order.LAST),
        (entry('BatchNormalization', axis=1), False, Order.LAST),
        (entry('ReLU'), True, Order.LAST),
        (entry('ReLU'), False, Order.AS_IT_IS),
        (entry('Dense'), True, Order.AS_IT_IS),
        (entry('LayerNormalization', axis=[1, 2, 3]), True, Order.AS_IT_IS),
    ],
)
def test_which_layers_bear_channels_at_the_end(layer, last, expected):
    value = Value(Ref('x'), last, 4)
    assert order_of(layer, [value], True) is expected
    assert order_of(layer, [value], False) is Order.AS_IT_IS


def test_options_follow_the_channels():
    assert with_channels_last(entry('Softmax', axis=1), 4).config['axis'] == 3
    assert with_channels_last(entry('Normalization', axis=[1]), 4).config['axis'] == [3]
    layer = {'config': {'data_format': 'channels_first'}}
    assert has_channels_first({'layers': [{'config': {}}, layer]})
    assert not has_channels_first({'layers': [{'config': {}}]})
