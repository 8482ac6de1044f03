import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq._compat.keras_layers import TFOpLambda
from tf_n2uq.graph.graph import Graph
from tf_n2uq.schemes.annotation.operation import Operation, constant_of, number_of


def operation(function):
    image = keras.Input((4, 4, 3))
    graph = Graph.from_model(keras.Model(image, function(image)))
    (step,) = [step for step in graph if isinstance(step.layer, TFOpLambda)]
    return Operation.of(step, graph)


def test_arguments_have_their_names_and_defaults():
    call = operation(lambda x: tf.nn.leaky_relu(x))
    assert call['alpha'] == 0.2
    assert call.shape(call['features']) == (None, 4, 4, 3)


def test_a_layer_in_front_reads_the_tensor():
    call = operation(tf.nn.relu)
    ref = call.first(call['features'], 'before', keras.layers.ReLU)
    step = call.graph.producer(ref)
    assert step.name == f'{call.step.name}_before'
    assert step.origin == call.step.origin
    assert step.inputs == [call['features']]


def test_constants_are_one_number_or_one_per_channel():
    call = operation(tf.nn.relu)
    tensor = call['features']
    assert call.per_channel(np.ones((1, 1, 3)), tensor) == [1.0, 1.0, 1.0]
    assert call.per_channel(np.ones((4, 1, 3)), tensor) is None
    assert call.per_channel(2, tensor) == number_of(2) == 2.0
    assert constant_of(tensor) is None
    assert constant_of(tf.Variable(1.0)) is None
