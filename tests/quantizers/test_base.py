"""The base class of quantizers, and the variables that they make."""

from __future__ import annotations

import pytest
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.quantizers import ConfiguredQuantizer
from tf_n2uq.quantizers.base import add_parameter, is_quantizer_parameter


class Numbered(ConfiguredQuantizer):
    def __init__(self, number):
        self.number = number

    def build(self, tensor_shape, name, layer):
        return {}

    def __call__(self, inputs, training, weights, **kwargs):
        return inputs * self._entries(weights, 'factor')[0]

    def get_config(self):
        return {'number': self.number}


class Other(Numbered):
    pass


def test_quantizers_are_equal_if_class_and_config_are():
    assert Numbered(1) == Numbered(1)
    assert hash(Numbered(1)) == hash(Numbered(1))
    assert Numbered(1) != Numbered(2)
    assert Numbered(1) != Other(1)
    assert repr(Numbered(1)) == 'Numbered(number=1)'


def test_the_defaults_are_those_of_most_kernels():
    quantizer = Numbered(1)
    assert quantizer.keeps_scale
    assert not quantizer.is_identity
    assert not quantizer.has_odd_integers
    assert quantizer.bias_divisor(tf.ones([2])) is None


def test_a_missing_entry_is_named_with_those_that_came():
    assert float(Numbered(1)(3.0, False, weights={'factor': 2.0})) == 6
    with pytest.raises(
        ValueError, match=r"expected the entries \['factor'\] for Numbered, got .*'a'"
    ):
        Numbered(1)(3.0, False, weights={'a': 2.0})


def test_a_parameter_has_its_start_value_and_is_recognized_by_no_name():
    layer = keras.layers.Layer(name='owner')
    parameter = add_parameter(layer, 'any_name', (2,), 1.5, trainable=False)
    assert parameter.numpy().tolist() == [1.5, 1.5]
    assert (parameter.name, parameter.trainable) == ('any_name:0', False)
    assert is_quantizer_parameter(parameter)
    assert not is_quantizer_parameter(layer.add_weight('step_size', shape=(1,)))
