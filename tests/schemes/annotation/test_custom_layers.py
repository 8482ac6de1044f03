import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tests.schemes.annotation.networks_in_networks import assert_same_outputs, normal
from tf_n2uq._compat.keras_models import nodes_in_order
from tf_n2uq.graph.graph import Graph
from tf_n2uq.schemes import annotate
from tf_n2uq.schemes.annotation.custom_layers import is_custom, network_of, networks_of

layers = keras.layers


class SqueezeAndExcitation(layers.Layer):
    """The usual block, without a config."""

    def __init__(self, channels, **kwargs):
        super().__init__(**kwargs)
        self.reduce = layers.Dense(channels // 2, activation='relu')
        self.expand = layers.Dense(channels, activation='sigmoid')

    def call(self, inputs):
        pooled = tf.reduce_mean(inputs, [1, 2])
        return inputs * self.expand(self.reduce(pooled))[:, None, None, :]


class Block(layers.Layer):
    """A custom layer with another one in a list, and a batch normalization."""

    def __init__(self, channels, **kwargs):
        super().__init__(**kwargs)
        self.parts = [layers.Conv2D(channels, 3, padding='same'), SqueezeAndExcitation(channels)]
        self.normalization = layers.BatchNormalization()

    def call(self, inputs, training=None):
        x = inputs
        for part in self.parts:
            x = part(x)
        return inputs + self.normalization(x, training=training)


class Scale(layers.Layer):
    def build(self, shape):
        self.factor = self.add_weight('factor', (shape[-1],), initializer='ones')

    def call(self, inputs):
        return inputs * self.factor


class OnlyInTraining(layers.Layer):
    def call(self, inputs, training=False):
        return inputs + 1.0 if training else inputs * 2.0 - 1.0


class OfNumbers(layers.Layer):
    def call(self, inputs):
        if tf.reduce_sum(inputs) > 0:
            return inputs
        return 2.0 * inputs


def flatten(model):
    return Graph.from_model(model, networks_of(model, lambda name: False)).to_model()


def network(layer):
    images = keras.Input((8, 8, 4))
    x = layer(layers.Conv2D(4, 3)(images))
    return keras.Model(images, layers.Conv2D(2, 3)(x))


@pytest.mark.parametrize('kind', [SqueezeAndExcitation, Block])
def test_a_layer_of_layers_becomes_these_layers(kind):
    layer = kind(4, name='block')
    model = network(layer)
    nodes = [len(each.inbound_nodes) for each in layer.submodules if isinstance(each, layers.Layer)]
    flat = flatten(model)
    assert not any(is_custom(each) for each in flat.layers)
    assert_same_outputs(model, flat, normal(8, 8, 4), rtol=1e-5)
    assert len(flat.weights) == len(model.weights)
    assert nodes == [
        len(each.inbound_nodes) for each in layer.submodules if isinstance(each, layers.Layer)
    ]


def test_training_is_passed_on_to_the_layers():
    flat = flatten(network(Block(4)))
    images = normal(8, 8, 4)
    before = flat(images, training=False).numpy()
    flat(images, training=True)
    assert not np.allclose(flat(images, training=False), before)


def test_names_of_the_outer_network_stay_unique():
    images = keras.Input((8, 8, 4))
    x = SqueezeAndExcitation(4, name='first')(images)
    model = keras.Model(images, SqueezeAndExcitation(4, name='second')(x))
    assert_same_outputs(model, flatten(model), normal(8, 8, 4), rtol=1e-5)


@pytest.mark.parametrize('layer', [Scale(), OnlyInTraining(), OfNumbers()], ids=type)
def test_a_layer_that_is_more_than_calls_stays(layer):
    model = network(layer)
    (node,) = [node for node in nodes_in_order(model) if node.layer is layer]
    assert is_custom(layer)
    assert network_of(node) is None
    assert not networks_of(model, lambda name: False)


def test_a_layer_that_is_left_out_stays():
    model = network(SqueezeAndExcitation(4, name='block'))
    assert not networks_of(model, lambda name: name == 'block')


class OfNothing(keras.Model):
    def call(self, inputs):
        return inputs


def test_a_subclassed_model_that_only_calls_layers_is_dissolved():
    image = keras.Input((4,))
    model = keras.Model(image, layers.Dense(2)(OfNothing(name='mine')(image)))
    flat = flatten(model)
    assert [type(layer) for layer in flat.layers] == [layers.InputLayer, layers.Dense]
    assert_same_outputs(model, flat, normal(4))


def test_layers_of_keras_are_not_taken_apart():
    assert not is_custom(layers.MultiHeadAttention(2, 4))
    assert not is_custom(layers.Dense(3))


def test_annotate_dissolves_custom_layers():
    annotated = annotate(network(Block(4, name='block')))
    assert 'block' not in [layer.name for layer in annotated.layers]
