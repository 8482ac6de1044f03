import keras as keras3
import numpy as np
import pytest

import tf_n2uq
from tests.keras3.keras3_models import chain
from tf_n2uq.keras3.given_weights import give_weights
from tf_n2uq.keras3.network import NetworkBuilder
from tf_n2uq.keras3.sources import entry_of
from tf_n2uq.keras3.weight_store import LiveWeights

layers = keras3.layers


def test_a_network_is_built_without_weights_and_then_gets_them():
    theirs = chain(layers.Dense(3, name='dense'), shape=(4,))
    builder = NetworkBuilder({})
    ours = builder.model(entry_of(theirs), LiveWeights(theirs))
    (pair,) = builder.pairs
    assert pair.layer is ours.get_layer('dense')
    pair.layer.set_weights([np.zeros((4, 3)), np.zeros(3)])
    give_weights(builder.pairs)
    np.testing.assert_array_equal(pair.layer.get_weights()[0], np.asarray(theirs.weights[0]))


def test_calls_that_wait_for_each_other_are_refused():
    inputs = keras3.Input((4,))
    theirs = keras3.Model(inputs, layers.Dense(4, name='b')(layers.Dense(4, name='a')(inputs)))
    entry = entry_of(theirs)
    first = entry.config['layers'][1]['inbound_nodes'][0]['args'][0]
    first['config']['keras_history'] = ['b', 0, 0]
    with pytest.raises(ValueError, match="got a call of 'a' that waits for others"):
        NetworkBuilder({}).model(entry, LiveWeights(theirs))


@pytest.mark.parametrize(
    ('layer', 'called_with'),
    [
        (layers.Dropout(0.5, seed=0), {}),
        (layers.GaussianNoise(1.0, seed=0), {}),
        (layers.RandomFlip(seed=0), {}),
        # Keras 3 obeys the value that the model is called with, whatever the layer was called with.
        (layers.BatchNormalization(), {'training': False}),
        (layers.Dropout(0.5, seed=0), {'training': True}),
    ],
    ids=['dropout', 'noise', 'flip', 'normalization', 'always'],
)
def test_the_call_of_the_model_decides_whether_a_layer_trains(layer, called_with):
    inputs = keras3.Input((8, 8, 3))
    theirs = keras3.Model(inputs, layer(inputs, **called_with))
    ours = tf_n2uq.from_keras3(theirs)
    images = np.random.default_rng(0).normal(2.0, 1.0, (4, 8, 8, 3)).astype(np.float32)
    same = [
        np.allclose(model(images, training=training), images, atol=0.01)
        for model in (theirs, ours)
        for training in (False, True)
    ]
    assert same == [True, False, True, False]
