import pytest
import tf_keras as keras

from tf_n2uq.graph.graph import Graph
from tf_n2uq.graph.quantizer_steps import is_range
from tf_n2uq.layers import Quantize
from tf_n2uq.quantizers import FixedRangeQuantizer, LearnableThresholdQuantizer, RangeQuantizer
from tf_n2uq.schemes.rewrite.assignment import Assignment
from tf_n2uq.schemes.rewrite.range_placement import place_ranges

layers = keras.layers


def placed(function, leave_out=()):
    """Places ranges in a network; returns the name of what each range reads, and the graph."""
    image = keras.Input((6, 6, 4), name='image')
    graph = Graph.from_model(keras.Model(image, function(image)))
    place_ranges(graph, Assignment(set(graph.steps) - {'image', *leave_out}, {}), bits=8)
    return [step.inputs[0].step for step in graph.in_order() if is_range(step)], graph


def convolution(name='conv'):
    return layers.Conv2D(4, 3, padding='same', name=name)


def test_what_one_operator_computes_has_one_range_at_its_end():
    def network(x):
        x = layers.BatchNormalization(name='bn')(convolution()(x))
        return layers.ReLU(name='relu')(x)

    assert placed(network)[0] == ['image', 'relu']


def test_layers_that_move_numbers_share_the_range_in_front_of_them():
    def network(x):
        x = layers.MaxPooling2D(2, name='pool')(convolution()(x))
        return layers.Flatten(name='flat')(x)

    assert placed(network)[0] == ['image', 'conv']


def test_a_function_that_folds_into_thresholds_has_none():
    def network(x):
        x = layers.LeakyReLU(name='leaky')(convolution('first')(x))
        x = Quantize(LearnableThresholdQuantizer(2), name='thresholds')(x)
        return convolution()(x)

    assert placed(network)[0] == ['image', 'first', 'conv']


def test_a_function_that_others_read_has_one():
    def network(x):
        return layers.LeakyReLU(name='leaky')(convolution()(x))

    assert placed(network)[0] == ['image', 'conv', 'leaky']


def test_a_sum_has_one_and_each_of_its_terms():
    def network(x):
        return layers.Add(name='sum')([convolution('a')(x), convolution('b')(x)])

    assert sorted(placed(network)[0]) == ['a', 'b', 'image', 'sum']


def test_a_tensor_that_is_read_twice_gets_one_range():
    assert placed(lambda x: layers.Multiply(name='square')([x, x]))[0] == ['image', 'square']


def test_what_comes_out_of_a_float_layer_gets_a_range_where_an_integer_layer_reads_it():
    def network(x):
        x = layers.MaxPooling2D(2, name='pool')(convolution('in_float')(x))
        return convolution()(x)

    assert placed(network, leave_out=['in_float'])[0] == ['in_float', 'conv']


def test_probabilities_at_the_end_need_none():
    def network(x):
        return layers.Softmax(name='softmax')(layers.Dense(3, name='dense')(x))

    assert placed(network)[0] == ['image', 'dense']


@pytest.mark.parametrize('name', ['sigmoid', 'tanh'])
def test_a_function_with_one_possible_range_gets_a_fixed_one(name):
    graph = placed(lambda x: layers.Activation(name, name='function')(convolution()(x)))[1]
    assert isinstance(graph.steps['function_range'].layer.quantizer, FixedRangeQuantizer)
    assert type(graph.steps['conv_range'].layer.quantizer) is RangeQuantizer


def test_a_trained_range_behind_such_a_function_is_replaced():
    def network(x):
        x = layers.Activation('sigmoid', name='function')(convolution()(x))
        return Quantize(RangeQuantizer(8), name='trained')(x)

    ranges, graph = placed(network)
    assert ranges == ['image', 'conv', 'function']
    assert isinstance(graph.steps['trained'].layer.quantizer, FixedRangeQuantizer)


def test_placing_again_adds_nothing():
    def network(x):
        x = layers.ReLU(name='relu')(convolution()(x))
        return layers.Add(name='sum')([x, convolution('other')(x)])

    _, graph = placed(network)
    before = set(graph.steps)
    place_ranges(graph, Assignment(before - {'image'}, {}), bits=8)
    assert set(graph.steps) == before
