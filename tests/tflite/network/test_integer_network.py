import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import tf_n2uq
from tests.networks import images_for, quantize, quantized_network
from tf_n2uq.tflite.network.completion import complete
from tf_n2uq.tflite.network.integer_network import IntegerNetwork
from tf_n2uq.tflite.passes.markers import marker_alpha


def network_of(model):
    return IntegerNetwork(*complete(model, None))


def operators(network, shape):
    spec = tf.TensorSpec([1, *shape], tf.float32)
    graph = tf.function(network, autograph=False).get_concrete_function(spec).graph
    return graph.get_operations()


def test_a_network_without_thresholds_computes_what_keras_computes():
    model = quantized_network('residual', bits=8)
    network, images = network_of(model), images_for(model, 8)
    assert network.plans == []
    expected = model(images, training=False).numpy()
    got = np.concatenate([network(tf.constant(image[np.newaxis])) for image in images])
    step = float(model.layers[-1].int8_scale())
    np.testing.assert_allclose(got, expected, atol=1.01 * step)


@pytest.mark.parametrize('name', ['residual', 'depthwise'])
def test_each_plan_has_a_marker_of_its_number(name):
    model = quantized_network(name)
    network = network_of(model)
    found = operators(network, model.input_shape[1:])
    slopes = [op.get_attr('alpha') for op in found if op.type == 'LeakyRelu']
    markers = sorted(slope for slope in slopes if slope >= marker_alpha(0))
    assert markers == [marker_alpha(number) for number in range(len(network.plans))]
    assert network.plans


def test_layers_that_fold_into_thresholds_are_not_computed():
    model = quantized_network('folding_activations')
    types = {op.type for op in operators(network_of(model), model.input_shape[1:])}
    assert not types & {'Tanh', 'Sigmoid', 'Elu'}


def test_tensors_are_named_by_the_layers_of_the_model():
    model = quantized_network('residual')
    scopes = {op.name.split('/')[0] for op in operators(network_of(model), (8, 8, 3))}
    assert {'quant_behind_sum', 'behind_sum_thresholds'} <= scopes


def test_outputs_have_the_structure_of_the_model():
    image = keras.Input((4, 4, 3))
    x = keras.layers.Conv2D(4, 3, name='kernel')(image)
    ends = {'a': keras.layers.ReLU()(x), 'b': keras.layers.GlobalMaxPooling2D()(x)}
    model = quantize(keras.Model(image, ends), bits=8)
    images = images_for(model)
    tf_n2uq.calibrate(model, images, verbose=0)
    outputs = network_of(model)(tf.constant(images[:1]))
    assert {name: tuple(tensor.shape) for name, tensor in outputs.items()} == {
        'a': (1, 2, 2, 4),
        'b': (1, 4),
    }
