"""Heads of models: their names, and what the layer that computes each of them tells."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tests.networks import quantize
from tf_n2uq.layers import Quantize
from tf_n2uq.quantizers import RangeQuantizer
from tf_n2uq.training.losses.heads import Head, heads_of

_layers = keras.layers


def ends_in(*layers):
    return keras.Sequential([_layers.Input((4,)), _layers.Dense(3), *layers])


@pytest.mark.parametrize(
    ('layers', 'expected'),
    [
        ([], 'linear'),
        ([_layers.ReLU()], 'linear'),
        ([_layers.Activation('log_softmax')], 'linear'),
        ([_layers.Softmax()], 'softmax'),
        ([_layers.Activation('softmax')], 'softmax'),
        ([_layers.Activation('sigmoid')], 'sigmoid'),
        ([_layers.Activation('tanh')], 'tanh'),
        ([_layers.Dense(3, activation='relu')], 'relu'),
        ([_layers.Softmax(), _layers.Reshape((3,))], 'softmax'),
        ([_layers.Softmax(), Quantize(RangeQuantizer(8))], 'softmax'),
        ([_layers.Activation('sigmoid'), Quantize(RangeQuantizer(8))], 'sigmoid'),
        ([_layers.Softmax(), _layers.Activation('linear')], 'softmax'),
        ([keras.Sequential([_layers.Dense(3, 'softmax', input_shape=(3,))])], 'softmax'),
        ([_layers.Lambda(tf.nn.softmax)], None),
    ],
)
def test_the_layer_that_computes_the_output_decides(layers, expected):
    (head,) = heads_of(ends_in(*layers))
    assert head.activation == expected
    assert head.shape == (None, 3)


@pytest.mark.parametrize(
    ('function', 'expected'),
    [(tf.nn.softmax, 'softmax'), (tf.sigmoid, 'sigmoid'), (lambda x: 2.0 * x, 'linear')],
)
def test_functions_of_tensorflow_are_known(function, expected):
    inputs = keras.Input((4,))
    (head,) = heads_of(keras.Model(inputs, function(_layers.Dense(3)(inputs))))
    assert head.activation == expected


def several(as_outputs):
    inputs = keras.Input((4,))
    heads = [
        _layers.Dense(3, 'softmax', name='label')(inputs),
        _layers.Dense(2, 'sigmoid', name='flags')(inputs),
        _layers.Dense(1, name='age')(inputs),
    ]
    return keras.Model(inputs, as_outputs(heads))


@pytest.mark.parametrize('quantized', [False, True])
def test_each_output_of_a_list_has_the_name_of_its_layer(quantized):
    model = several(list)
    model = quantize(model, bits=2) if quantized else model
    assert heads_of(model) == [
        Head('label', 'softmax', (None, 3)),
        Head('flags', 'sigmoid', (None, 2)),
        Head('age', 'linear', (None, 1)),
    ]


def test_each_entry_of_a_dictionary_has_its_key():
    model = several(lambda heads: dict(zip(['z', 'a', 'm'], heads, strict=True)))
    assert [head.name for head in heads_of(model)] == ['a', 'm', 'z']
    assert [head.activation for head in heads_of(model)] == ['sigmoid', 'linear', 'softmax']


def test_each_output_of_an_inner_model_is_found():
    inner, inputs = several(list), keras.Input((4,))
    heads = heads_of(keras.Model(inputs, inner(inputs)[::-1]))
    assert [head.activation for head in heads] == ['linear', 'sigmoid', 'softmax']


def test_nothing_is_known_of_a_subclassed_model():
    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    model = Subclassed()
    model(np.zeros((1, 3), np.float32))
    (head,) = heads_of(model)
    assert (head.activation, head.shape, head.units) == (None, None, None)
