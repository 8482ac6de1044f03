import inspect

import keras as keras3
import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.layers import activation_functions
from tf_n2uq.layers.layer_spec import Kind, kind_of

FUNCTIONS = {
    name: function
    for name, function in inspect.getmembers(activation_functions, inspect.isfunction)
    if name.startswith('keras3_')
}


@pytest.mark.parametrize('name', sorted(FUNCTIONS))
def test_a_function_is_that_of_keras_3_and_the_schemes_know_it(name):
    numbers = np.linspace(-5, 5, 201, dtype=np.float32)
    own = name.removeprefix('keras3_')
    function = keras3.ops.gelu if own == 'gelu_tanh' else getattr(keras3.activations, own)
    given = FUNCTIONS[name](tf.constant(numbers))
    np.testing.assert_allclose(given, np.asarray(function(numbers)), atol=1e-6)
    assert kind_of(keras.layers.Activation(FUNCTIONS[name])) is Kind.ELEMENTWISE


def test_a_config_has_the_registered_name_alone():
    layer = keras.layers.Dense(2, activation=FUNCTIONS['keras3_celu'])
    assert layer.get_config()['activation'] == 'tf_n2uq>keras3_celu'
    assert keras.activations.get('tf_n2uq>keras3_celu') is FUNCTIONS['keras3_celu']
