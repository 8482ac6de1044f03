import numpy as np
import tensorflow as tf
import tf_keras as keras

from tests.schemes.annotation.networks_in_networks import assert_same_outputs, normal
from tf_n2uq._compat.keras_layers import CustomScaleLayer, LayerScale, StochasticDepth
from tf_n2uq.graph.graph import Graph
from tf_n2uq.layers import ChannelScale
from tf_n2uq.schemes.annotation.application_layers import replace_application_layers

_layers = keras.layers


def _replaced(model):
    graph = Graph.from_model(model)
    replace_application_layers(graph)
    return graph.to_model()


def test_a_layer_scale_becomes_a_channel_scale_with_its_weights():
    model = keras.Sequential([keras.Input((4, 4, 3)), LayerScale(0.1, 3, name='own')])
    model.layers[0].gamma.assign([1.0, -2.0, 3.0])
    model.layers[0].trainable = False
    result = _replaced(model)
    layer = result.get_layer('own')
    assert type(layer) is ChannelScale
    assert not layer.trainable
    assert_same_outputs(model, result, normal(4, 4, 3))


def test_a_layer_scale_that_is_called_twice_stays_one():
    scale = LayerScale(0.1, 3)
    image = keras.Input((4, 4, 3))
    model = keras.Model(image, scale(_layers.ReLU()(scale(image))))
    result = _replaced(model)
    assert len(result.weights) == 1
    assert_same_outputs(model, result, normal(4, 4, 3))


def test_stochastic_depth_drops_the_same_and_scales_the_same():
    model = keras.Sequential([keras.Input((2, 2, 3)), StochasticDepth(0.4, name='own')])
    result = _replaced(model)
    assert type(result.get_layer('own')) is _layers.Dropout
    assert_same_outputs(model, result, normal(2, 2, 3))
    images = tf.ones([1000, 2, 2, 3])
    kept = [network(images, training=True).numpy().reshape(1000, -1) for network in (model, result)]
    for values in kept:
        # The whole of an image is kept and scaled up, or dropped.
        assert (values == values[:, :1]).all()
        np.testing.assert_allclose(np.unique(values), [0.0, 1 / 0.6], rtol=1e-5)
        assert 0.55 < (values[:, 0] > 0).mean() < 0.65


def test_a_scaled_sum_becomes_a_rescaling_and_a_sum():
    shortcut, branch = keras.Input((4, 4, 3)), keras.Input((4, 4, 3))
    model = keras.Model([shortcut, branch], CustomScaleLayer(0.17, name='own')([shortcut, branch]))
    result = _replaced(model)
    assert type(result.get_layer('own')) is _layers.Add
    assert result.get_layer('own_scale').scale == 0.17
    assert_same_outputs(model, result, [normal(4, 4, 3), 1 - normal(4, 4, 3)])
