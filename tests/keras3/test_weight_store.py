import h5py
import keras as keras3
import numpy as np

from tests.keras3.keras3_models import chain
from tf_n2uq.keras3.entry import Entry
from tf_n2uq.keras3.sources import entry_of
from tf_n2uq.keras3.weight_store import LiveWeights, StoredWeights


def test_a_file_has_the_weights_that_the_model_has(tmp_path):
    theirs = chain(keras3.layers.Dense(3), keras3.layers.Dense(2), shape=(4,))
    theirs.save_weights(tmp_path / 'a.weights.h5')
    with h5py.File(tmp_path / 'a.weights.h5') as file:
        entries = [Entry.of(each) for each in entry_of(theirs).config['layers']]
        live = list(LiveWeights(theirs).layers(entries))
        stored = list(StoredWeights(file).layers(entries))
        for own, other in zip(live, stored, strict=True):
            assert own.own().keys() == other.own().keys()
            for key, array in own.own().items():
                np.testing.assert_array_equal(array, other.own()[key])
        assert [len(each.own()) for each in stored] == [0, 2, 2]


def test_inner_objects_are_found_by_their_attributes():
    layer = keras3.layers.Bidirectional(keras3.layers.LSTM(2))
    layer.build((None, 3, 4))
    forward = LiveWeights(layer).inner('forward_layer')
    assert forward is not None
    cell = forward.inner('cell')
    assert cell is not None
    assert [each.shape for each in cell.own().values()] == [(4, 8), (2, 8), (8,)]
    assert LiveWeights(layer).inner('no_such_attribute') is None
