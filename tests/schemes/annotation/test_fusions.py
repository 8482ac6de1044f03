import pytest
import tensorflow as tf
import tf_keras as keras

from tests.schemes.annotation.networks_in_networks import assert_same_outputs, normal
from tf_n2uq.graph.graph import Graph
from tf_n2uq.layers import HardSigmoid, HardSwish
from tf_n2uq.schemes.annotation.fusions import fuse
from tf_n2uq.schemes.annotation.tf_functions import replace_operators

_layers = keras.layers


def _fused(outputs_of, fixed=()):
    """A model of one image, and what becomes of it."""
    image = keras.Input((4, 4, 3))
    model = keras.Model(image, outputs_of(image))
    graph = Graph.from_model(model)
    replace_operators(graph)
    fuse(graph, fixed)
    result = graph.to_model()
    assert_same_outputs(model, result, 3 * normal(4, 4, 3), rtol=1e-5)
    return model, result


def _kinds(model):
    return [type(layer) for layer in model.layers[1:]]


def _hard_sigmoid(x):
    return _layers.ReLU(6.0)(x + 3.0) * (1.0 / 6.0)


@pytest.mark.parametrize(
    'function',
    [
        _hard_sigmoid,
        lambda x: tf.nn.relu6(x + 3) / 6,
        lambda x: _layers.Rescaling(1 / 6)(_layers.Activation(tf.nn.relu6)(3.0 + x)),
    ],
)
def test_hard_sigmoid(function):
    model, result = _fused(function)
    assert _kinds(result) == [HardSigmoid]
    assert result.layers[-1].name == model.layers[-1].name


@pytest.mark.parametrize(
    'function',
    [
        lambda x: _layers.Multiply()([x, _hard_sigmoid(x)]),
        lambda x: _hard_sigmoid(x) * x,
        lambda x: x * tf.nn.relu6(x + 3) / 6,
    ],
)
def test_hard_swish(function):
    model, result = _fused(function)
    assert _kinds(result) == [HardSwish]
    assert result.layers[-1].name == model.layers[-1].name


def test_a_gate_on_another_tensor_is_a_hard_sigmoid():
    _, result = _fused(lambda x: _layers.ReLU()(x) * _hard_sigmoid(x))
    assert set(_kinds(result)) == {_layers.ReLU, HardSigmoid, _layers.Multiply}


@pytest.mark.parametrize(
    'function',
    [
        lambda x: tf.nn.relu6(x + 2) / 6,
        lambda x: tf.nn.relu6(x + 3) / 5,
        lambda x: tf.nn.relu(x + 3) / 6,
        lambda x: _layers.ReLU(6.0, negative_slope=0.1)(x + 3) / 6,
    ],
)
def test_other_numbers_are_not_taken_for_it(function):
    _, result = _fused(function)
    assert _kinds(result) == [_layers.Rescaling, _layers.ReLU, _layers.Rescaling]


def test_what_others_read_is_not_fused():
    def with_inner_tensor(x):
        inner = tf.nn.relu6(x + 3)
        return [inner / 6, inner]

    _, result = _fused(with_inner_tensor)
    assert HardSigmoid not in _kinds(result)

    def read_twice(x):
        gate = _hard_sigmoid(x)
        return x * gate + gate

    _, result = _fused(read_twice)
    assert set(_kinds(result)) == {HardSigmoid, _layers.Multiply, _layers.Add}


def test_fixed_layers_stay_as_they_are():
    def with_named_relu(x):
        return _layers.ReLU(6.0, name='own')(x + 3) / 6

    _, result = _fused(with_named_relu, fixed={'own'})
    assert _kinds(result) == [_layers.Rescaling, _layers.ReLU, _layers.Rescaling]


def test_a_rescaling_of_a_rescaling_is_one():
    _, result = _fused(lambda x: -(x / 127.5 - 1) * [1.0, 2.0, 4.0])
    assert _kinds(result) == [_layers.Rescaling]
    (layer,) = result.layers[1:]
    assert layer.offset == [1.0, 2.0, 4.0]


def test_a_rescaling_that_others_read_stays():
    def read_twice(x):
        shifted = x + 1.0
        return [shifted, shifted * 2.0]

    _, result = _fused(read_twice)
    assert _kinds(result) == [_layers.Rescaling, _layers.Rescaling]
