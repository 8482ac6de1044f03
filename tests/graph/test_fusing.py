import pytest
import tf_keras as keras

import tf_n2uq
from tf_n2uq.graph.fusing import find_fusing, readers_of
from tf_n2uq.graph.graph import Graph
from tf_n2uq.layers import KernelRole, Quantize, QuantizedKernel
from tf_n2uq.layers.layer_spec import Kind
from tf_n2uq.quantizers import (
    LearnableThresholdQuantizer,
    LSQInputQuantizer,
    PACTQuantizer,
    RangeQuantizer,
)

layers = keras.layers
SHAPE = (6, 6, 4)


def graph_of(function):
    """The graph of a network that returns what a function makes of an image."""
    image = keras.Input(SHAPE, name='image')
    outputs = function(image)
    return Graph.of_layers(keras.Model(image, outputs))


def convolution(name='conv'):
    return layers.Conv2D(4, 3, padding='same', name=name)


def thresholds(name='thresholds'):
    return Quantize(LearnableThresholdQuantizer(2), name=name)


def test_a_convolution_takes_on_a_normalization_and_its_relu():
    def network(x):
        x = layers.BatchNormalization(name='bn')(convolution()(x))
        return layers.ReLU(name='relu')(x)

    fusing = find_fusing(graph_of(network))
    assert fusing.operators == {'bn': 'conv', 'relu': 'bn'}
    assert fusing.folded == frozenset()
    assert fusing.kinds['conv'] is Kind.KERNEL
    assert fusing.kinds['bn'] is Kind.NORMALIZATION


@pytest.mark.parametrize('between', [layers.MaxPooling2D(2), layers.ZeroPadding2D(1)])
def test_a_normalization_behind_another_layer_keeps_its_own_operator(between):
    fusing = find_fusing(
        graph_of(lambda x: layers.BatchNormalization(name='bn')(between(convolution()(x))))
    )
    assert fusing.operators == {}


def test_a_tensor_that_others_read_is_not_fused():
    def network(x):
        x = convolution()(x)
        return layers.Add()([layers.BatchNormalization(name='bn')(x), x])

    assert find_fusing(graph_of(network)).operators == {}


def test_a_tensor_that_the_model_returns_is_not_fused():
    def network(x):
        inner = convolution()(x)
        return [layers.BatchNormalization(name='bn')(inner), inner]

    assert find_fusing(graph_of(network)).operators == {}


@pytest.mark.parametrize('function', [layers.LeakyReLU(), layers.Activation('tanh')])
def test_only_a_relu_joins_the_operator_in_front(function):
    fusing = find_fusing(graph_of(lambda x: function(convolution()(x))))
    assert fusing.operators == {}


def test_a_transposed_convolution_takes_on_a_line_and_no_relu():
    def network(x):
        x = layers.Conv2DTranspose(4, 2, strides=2, name='conv')(x)
        return layers.ReLU(name='relu')(layers.BatchNormalization(name='bn')(x))

    assert find_fusing(graph_of(network)).operators == {'bn': 'conv'}


def test_functions_in_front_of_thresholds_alone_fold_into_them():
    def network(x):
        x = layers.LeakyReLU(name='leaky')(layers.Activation('tanh', name='tanh')(x))
        return convolution()(thresholds()(x))

    assert find_fusing(graph_of(network)).folded == {'tanh', 'leaky'}


def test_functions_in_front_of_a_range_do_not_fold():
    def network(x):
        x = layers.LeakyReLU(name='leaky')(x)
        return convolution()(Quantize(RangeQuantizer(8))(x))

    assert find_fusing(graph_of(network)).folded == frozenset()


def test_one_reader_that_does_not_compare_is_enough_not_to_fold():
    def network(x):
        x = layers.LeakyReLU(name='leaky')(x)
        return layers.Add()([convolution()(thresholds()(x)), x])

    assert find_fusing(graph_of(network)).folded == frozenset()


def test_several_thresholds_may_share_a_function():
    def network(x):
        x = layers.LeakyReLU(name='leaky')(x)
        a, b = (convolution(f'conv_{each}')(thresholds(each)(x)) for each in 'ab')
        return layers.Add()([a, b])

    assert find_fusing(graph_of(network)).folded == {'leaky'}


def test_a_line_of_its_own_folds_together_with_its_relu():
    def network(x):
        x = layers.Add(name='sum')([x, convolution('first')(x)])
        x = layers.ReLU(name='relu')(layers.BatchNormalization(name='bn')(x))
        return convolution()(thresholds()(x))

    fusing = find_fusing(graph_of(network))
    assert fusing.folded == {'bn', 'relu'}
    # The line would become an operator only to carry the ReLU.
    assert fusing.operators == {}


@pytest.mark.parametrize('line', [None, 'bn'])
def test_a_role_that_has_been_written_down_stands(line):
    def network(x):
        config = tf_n2uq.N2UQQuantizeConfig(4)
        kernel = QuantizedKernel(convolution(), config, role=KernelRole(line=line), name='conv')
        return layers.BatchNormalization(name='bn')(kernel(x))

    expected = {} if line is None else {'bn': 'conv'}
    assert find_fusing(graph_of(network)).operators == expected


def test_a_layer_of_an_unknown_kind_is_nobodys():
    def network(x):
        x = layers.Lambda(lambda y: y + 1.0, name='unknown')(convolution()(x))
        return layers.ReLU(name='relu')(x)

    fusing = find_fusing(graph_of(network))
    assert fusing.kinds['unknown'] is None
    assert fusing.operators == {}


def test_readers_are_listed_once_each_and_in_order():
    def network(x):
        y = layers.ReLU(name='first')(x)
        z = layers.Multiply(name='square')([y, y])
        return layers.Add(name='sum')([y, z])

    graph = graph_of(network)
    readers = readers_of(graph.in_order())
    assert [step.name for step in readers['first']] == ['square', 'sum']
    assert readers['sum'] == []


def pact(name='thresholds'):
    return Quantize(PACTQuantizer(4), name=name)


@pytest.mark.parametrize('relu', [layers.ReLU, lambda: layers.ReLU(6.0)])
def test_an_operator_writes_the_levels_of_a_uniform_quantizer(relu):
    def network(x):
        x = relu()(layers.BatchNormalization()(convolution('kernel')(x)))
        return convolution('reader')(pact()(x))

    assert find_fusing(graph_of(network)).level_writers == {'thresholds': 'kernel'}


def test_a_sum_writes_levels_too_and_unsigned_levels_need_no_relu():
    def network(x):
        x = layers.Add(name='sum')([convolution('a')(x), convolution('b')(x)])
        return convolution('reader')(pact()(x))

    assert find_fusing(graph_of(network)).level_writers == {'thresholds': 'sum'}


@pytest.mark.parametrize(
    'quantizer', [LearnableThresholdQuantizer(4), LSQInputQuantizer(4)], ids=['uneven', 'signed']
)
def test_an_operator_writes_no_uneven_levels_and_no_signed_ones(quantizer):
    def network(x):
        return convolution('reader')(Quantize(quantizer)(convolution('kernel')(x)))

    assert find_fusing(graph_of(network)).level_writers == {}


def test_signed_levels_behind_a_relu_are_written():
    def network(x):
        x = layers.ReLU()(convolution('kernel')(x))
        return convolution('reader')(Quantize(LSQInputQuantizer(4), name='thresholds')(x))

    assert find_fusing(graph_of(network)).level_writers == {'thresholds': 'kernel'}


def test_an_operator_writes_numbers_where_others_read_them():
    def network(x):
        x = layers.ReLU()(convolution('kernel')(x))
        return layers.Add()([convolution('reader')(pact()(x)), x])

    assert find_fusing(graph_of(network)).level_writers == {}


def test_an_operator_writes_numbers_in_front_of_a_range():
    def network(x):
        x = Quantize(RangeQuantizer())(layers.ReLU()(convolution('kernel')(x)))
        return convolution('reader')(pact()(x))

    assert find_fusing(graph_of(network)).level_writers == {}
