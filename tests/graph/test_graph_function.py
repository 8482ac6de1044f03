import numpy as np
import pytest
import tf_keras as keras

from tests.networks import float_network, images_for
from tf_n2uq.graph.graph import Graph, Ref
from tf_n2uq.graph.graph_function import GraphFunction

layers = keras.layers


def function_of(model, *names, **options):
    return GraphFunction(Graph.of_layers(model), [Ref(name) for name in names], **options)


@pytest.mark.parametrize('name', ['residual', 'dense_only', 'separable'])
def test_it_computes_what_the_model_does(name):
    model = float_network(name)
    images = images_for(model, 4)
    graph = Graph.of_layers(model)
    (outputs,) = GraphFunction(graph, [graph.outputs])(images)
    np.testing.assert_allclose(outputs, model(images), rtol=1e-5, atol=1e-6)


def test_tensors_come_in_the_order_that_was_asked_for():
    inputs = keras.Input((3,), name='inputs')
    x = layers.Rescaling(2.0, name='twice')(inputs)
    model = keras.Model(inputs, layers.Rescaling(1.0, 1.0, name='more')(x))
    more, same, twice = function_of(model, 'more', 'inputs', 'twice')(np.ones((1, 3), np.float32))
    for tensor, expected in ((more, 3.0), (same, 1.0), (twice, 2.0)):
        np.testing.assert_array_equal(tensor, np.full((1, 3), expected))


def test_bypassed_steps_return_what_they_read():
    inputs = keras.Input((3,))
    x = layers.Rescaling(2.0, name='twice')(inputs)
    model = keras.Model(inputs, layers.Rescaling(1.0, 1.0, name='more')(x))
    (outputs,) = function_of(model, 'more', bypassed=['twice'])(np.ones((1, 3), np.float32))
    np.testing.assert_array_equal(outputs, [[2.0, 2.0, 2.0]])


def test_only_the_layers_that_an_output_needs_are_called():
    called = []

    class Counted(layers.Layer):
        def call(self, inputs):
            called.append(self.name)
            return inputs

    inputs = keras.Input((3,))
    x = Counted(name='needed')(inputs)
    model = keras.Model(inputs, Counted(name='not_needed')(x))
    function = function_of(model, 'needed')
    called.clear()
    function(np.ones((1, 3), np.float32))
    assert called == ['needed']


@pytest.mark.parametrize('training', [False, True])
def test_layers_are_told_whether_they_are_trained(training):
    inputs = keras.Input((64,))
    model = keras.Model(inputs, layers.Dropout(0.5, name='dropout')(inputs))
    images = np.ones((1, 64), np.float32)
    (outputs,) = function_of(model, 'dropout')(images, training=training)
    assert bool(np.any(outputs == 0.0)) is training


def test_inputs_are_given_in_the_nest_of_the_model():
    inputs = {'a': keras.Input((2,), name='a'), 'b': keras.Input((2,), name='b')}
    model = keras.Model(inputs, layers.Subtract(name='difference')([inputs['b'], inputs['a']]))
    function = function_of(model, 'difference')
    assert [tuple(spec.shape) for spec in function.inputs] == [(None, 2), (None, 2)]
    given = {'b': np.float32([[5.0, 7.0]]), 'a': np.float32([[1.0, 2.0]])}
    np.testing.assert_array_equal(function(given)[0], [[4.0, 5.0]])


def test_calls_of_the_function_are_not_recorded_in_the_layers():
    model = float_network('dense_only')
    function = GraphFunction(Graph.of_layers(model), [Ref(model.layers[-1].name)])
    before = [len(layer.inbound_nodes) for layer in model.layers]
    function(images_for(model, 2))
    assert [len(layer.inbound_nodes) for layer in model.layers] == before
