import pytest
import tensorflow as tf
import tf_keras as keras

from tf_n2uq._compat.keras_models import (
    all_layers,
    call_arguments,
    in_order_of_inputs,
    is_functional,
    is_input,
    layers_in_front,
    let_clone_forget_calls,
    nested_inputs,
    nested_outputs,
    nodes_in_order,
    nodes_read,
    tensors_read,
)

layers = keras.layers


@pytest.fixture
def two_branches():
    """`first` and `second` read the input and are added; `last` reads the sum."""
    image = keras.Input([4], name='image')
    branches = [layers.Dense(3, name=name)(image) for name in ('first', 'second')]
    outputs = layers.ReLU(name='last')(layers.Add(name='sum')(branches))
    return keras.Model(image, outputs)


def node_of(model, name):
    (node,) = [node for node in nodes_in_order(model) if node.layer.name == name]
    return node


def test_a_model_is_functional_once_its_graph_is_known():
    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    sequential = keras.Sequential([layers.Dense(1)])
    assert not is_functional(sequential)
    assert not is_functional(Subclassed())
    sequential.build([None, 2])
    assert is_functional(sequential)


def test_every_call_comes_after_those_that_it_reads(two_branches):
    names = [node.layer.name for node in nodes_in_order(two_branches)]
    assert (names[0], set(names[1:3]), names[3:]) == ('image', {'first', 'second'}, ['sum', 'last'])


def test_a_node_tells_what_its_call_read(two_branches):
    node = node_of(two_branches, 'sum')
    tensors = tensors_read(node)
    assert [parent.layer.name for parent in nodes_read(node)] == ['first', 'second']
    (given,), kwargs = call_arguments(node)
    assert [id(tensor) for tensor in given] == [id(tensor) for tensor in tensors]
    assert kwargs == {}
    assert [parent.outputs for parent in nodes_read(node)] == tensors


def test_the_node_of_an_input_has_no_arguments(two_branches):
    node = node_of(two_branches, 'image')
    assert is_input(node)
    assert not is_input(node_of(two_branches, 'first'))
    assert call_arguments(node) == ((), {})


def test_nests_are_those_that_the_model_was_made_with():
    inputs = {'b': keras.Input([1]), 'a': keras.Input([1])}
    total = inputs['a'] + inputs['b']
    model = keras.Model(inputs, {'total': total})
    assert set(nested_inputs(model)) == {'a', 'b'}
    assert nested_inputs(model)['a'] is inputs['a']
    assert set(nested_outputs(model)) == {'total'}
    assert nested_outputs(model)['total'] is total


def test_named_inputs_come_in_the_models_order():
    a, b = keras.Input([1], name='a'), keras.Input([1], name='b')
    model = keras.Model([a, b], a + b)
    given = {'b': tf.constant([[2.0]]), 'a': tf.constant([[1.0]])}
    assert [tensor.numpy().item() for tensor in in_order_of_inputs(model, given)] == [1.0, 2.0]


def test_layers_of_inner_models_are_found(two_branches):
    outer = keras.Sequential([keras.Input([4]), two_branches, layers.Dense(1, name='head')])
    found = list(all_layers(outer))
    assert found[0] is outer
    assert {'first', 'second', 'head'} <= {layer.name for layer in found}


def test_layers_in_front_end_where_several_tensors_meet(two_branches):
    assert [layer.name for layer in layers_in_front(two_branches.output)] == ['last', 'sum']


def test_layers_in_front_end_at_the_input(two_branches):
    tensor = node_of(two_branches, 'first').outputs
    assert [layer.name for layer in layers_in_front(tensor)] == ['first', 'image']


def test_a_shared_layer_is_followed_along_the_call_that_made_the_tensor():
    image, other = keras.Input([4], name='image'), keras.Input([4], name='other')
    shared = layers.Dense(3, name='shared')
    shared(image)
    assert [layer.name for layer in layers_in_front(shared(other))] == ['shared', 'other']


def test_a_tensor_with_numbers_has_no_layers_in_front():
    assert list(layers_in_front(tf.zeros([1]))) == []


@pytest.mark.parametrize('sequential', [False, True])
def test_a_clone_that_keeps_the_layers_is_their_only_model(sequential):
    chain = [layers.Dense(3, name='first'), layers.Dense(2, name='second')]
    model = keras.Sequential([keras.Input((4,)), *chain])
    if not sequential:
        model = keras.Model(model.input, model.output)
    let_clone_forget_calls(model)
    clone = keras.models.clone_model(model, clone_function=lambda layer: layer)
    assert type(clone) is (keras.Sequential if sequential else type(keras.Model(*_ends())))
    assert [len(layer.inbound_nodes) for layer in clone.layers[-2:]] == [1, 1]
    inner = keras.Model(clone.input, clone.get_layer('first').output)
    x = tf.ones([1, 4])
    assert bool(tf.reduce_all(clone.get_layer('second')(inner(x)) == clone(x)))


def _ends():
    image = keras.Input((1,))
    return image, layers.ReLU()(image)
