import numpy as np
import pytest
import tf_keras as keras

from tests.networks import NETWORKS, float_network, images_for
from tf_n2uq.graph.graph import Graph, Ref, Step, copy_layer

layers = keras.layers


def chain():
    """Twice the input, and one more."""
    inputs = keras.Input((3,), name='inputs')
    x = layers.Rescaling(2.0, name='twice')(inputs)
    return keras.Model(inputs, layers.Rescaling(1.0, 1.0, name='more')(x))


def run(graph):
    return graph.to_model()(np.ones((1, 3), np.float32)).numpy()[0, 0]


@pytest.mark.parametrize('name', sorted(NETWORKS))
def test_reading_and_building_makes_the_same_network(name):
    model = float_network(name)
    images = images_for(model, 4)
    built = Graph.from_model(model).to_model()
    assert type(built) is type(model)
    # A layer without weights has a copy for each call.
    assert {layer.name for layer in built.layers} >= {layer.name for layer in model.layers}
    assert not {id(layer) for layer in built.layers} & {id(layer) for layer in model.layers}
    np.testing.assert_allclose(built(images), model(images), rtol=1e-5, atol=1e-6)


def test_the_models_own_layers_are_read_without_copies():
    model = float_network('residual')
    graph = Graph.of_layers(model)
    assert all(graph.steps[layer.name].layer is layer for layer in model.layers)


def test_a_step_knows_what_it_reads():
    graph = Graph.from_model(chain())
    step = graph.steps['more']
    assert step.inputs == [Ref('twice')]
    assert step.reads(Ref('twice'))
    assert not step.reads(Ref('twice', 1))
    assert step.input_shape == (None, 3)
    assert graph.producer(step.inputs[0]) is graph.steps['twice']
    assert graph.consumers(Ref('inputs')) == [graph.steps['twice']]
    assert graph.returned() == {'more'}
    assert graph.is_output(Ref('more'))


def test_a_layer_behind_a_tensor_is_read_by_all_and_returned():
    graph = Graph.from_model(chain())
    graph.insert_after(Ref('more'), layers.Rescaling(10.0, name='tenfold'))
    assert graph.returned() == {'tenfold'}
    assert run(graph) == 30.0


def test_a_layer_in_front_of_one_reader_leaves_the_others():
    inputs = keras.Input((3,), name='inputs')
    a = layers.Rescaling(1.0, name='a')(inputs)
    b = layers.Rescaling(1.0, name='b')(inputs)
    graph = Graph.from_model(keras.Model(inputs, layers.Add()([a, b])))
    graph.insert_before(graph.steps['a'], Ref('inputs'), layers.Rescaling(10.0, name='tenfold'))
    assert run(graph) == 11.0


def test_readers_of_a_removed_step_read_what_it_read():
    graph = Graph.from_model(chain())
    graph.remove(graph.steps['twice'])
    assert run(graph) == 2.0
    graph = Graph.from_model(chain())
    graph.remove(graph.steps['more'])
    assert run(graph) == 2.0


def test_steps_that_no_output_needs_are_dropped():
    graph = Graph.from_model(chain())
    graph.redirect(Ref('more'), Ref('inputs'))
    graph.drop_unused()
    assert set(graph.steps) == {'inputs'}


def test_new_names_are_numbered_where_they_are_taken():
    graph = Graph.from_model(chain())
    assert graph.unique_name('new') == 'new'
    assert graph.unique_name('twice') == 'twice_1'
    assert graph.unique_name('twice', {'twice_1'}) == 'twice_2'
    step = graph.add(layers.Rescaling(1.0, name='twice'), Ref('inputs'))
    assert step.name == step.layer.name == 'twice_1'


def test_steps_come_after_those_that_they_read_wherever_they_were_added():
    graph = Graph.from_model(chain())
    graph.insert_before(graph.steps['twice'], Ref('inputs'), layers.ReLU(name='first'))
    assert [step.name for step in graph.in_order()] == ['inputs', 'first', 'twice', 'more']


def test_a_replaced_step_keeps_name_and_readers():
    graph = Graph.from_model(chain())
    step = graph.steps['twice']
    step.replace(layers.Rescaling(5.0, name='twice'), Ref('inputs'))
    assert step.restore == []
    assert run(graph) == 6.0


def test_shapes_of_new_steps_are_computed():
    inputs = keras.Input((8, 8, 3), name='inputs')
    graph = Graph.from_model(keras.Model(inputs, layers.ReLU(name='relu')(inputs)))
    step = graph.insert_after(Ref('relu'), layers.Conv2D(5, 3, strides=2, name='conv'))
    assert graph.shape(Ref('relu')) == (None, 8, 8, 3)
    assert graph.shape(step.output) == (None, 3, 3, 5)


def test_layers_are_built_with_their_weights_and_join_no_model():
    model = float_network('dense_only')
    graph = Graph.from_model(model)
    graph.build_layers()
    for layer in model.layers:
        own = graph.steps[layer.name].layer
        assert not own.inbound_nodes or isinstance(own, layers.InputLayer)
        for ours, theirs in zip(own.get_weights(), layer.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_other_outputs_may_be_asked_for():
    graph = Graph.from_model(chain())
    model = graph.to_model({'inner': Ref('twice'), 'last': Ref('more')})
    outputs = model(np.ones((1, 3), np.float32))
    assert {name: float(tensor[0, 0]) for name, tensor in outputs.items()} == {
        'inner': 2.0,
        'last': 3.0,
    }


def test_a_layer_with_weights_that_is_called_twice_stays_one():
    inputs = keras.Input((3,))
    shared, relu = layers.Dense(3, name='shared'), layers.ReLU(name='relu')
    model = keras.Model(inputs, relu(shared(relu(shared(inputs)))))
    graph = Graph.from_model(model)
    assert graph.steps['shared'].layer is graph.steps['shared_1'].layer
    assert graph.steps['relu'].layer is not graph.steps['relu_1'].layer
    assert graph.steps['relu_1'].origin == 'relu'
    assert len(graph.to_model().weights) == 2


def test_arguments_that_are_no_tensors_are_passed_on():
    inputs = keras.Input((4,))
    model = keras.Model(inputs, layers.Dropout(0.5, name='dropout')(inputs, training=True))
    graph = Graph.from_model(model)
    assert graph.steps['dropout'].kwargs == {'training': True}
    assert np.any(graph.to_model()(np.ones((1, 4), np.float32) * np.ones((64, 1))) == 0.0)


def test_a_redirected_step_reads_the_other_tensor_everywhere():
    step = Step('sum', layers.Add(), args=([Ref('a'), Ref('a')],))
    step.redirect(Ref('a'), Ref('b', 1))
    assert step.inputs == [Ref('b', 1), Ref('b', 1)]
    step.redirect(Ref('a'), Ref('c'))
    assert step.inputs == [Ref('b', 1), Ref('b', 1)]


def test_a_copy_may_have_another_config():
    layer = layers.Dense(3, activation='relu', name='dense')
    copy = copy_layer(layer, lambda config: config.update(activation='linear'))
    assert copy.activation is keras.activations.linear
    assert (copy.name, copy.units, copy.built) == ('dense', 3, False)
    assert layer.activation is keras.activations.relu
