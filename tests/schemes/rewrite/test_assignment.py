"""The assignment of bits to layers, and the errors of `layers=`."""

from __future__ import annotations

import pytest
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tests.networks import annotate
from tf_n2uq.graph.graph import Graph
from tf_n2uq.schemes.rewrite.assignment import assign


def network():
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, activation='relu', name='first')(image)
    x = keras.layers.Conv2D(4, 3, name='inner')(x)
    x = keras.layers.BatchNormalization(name='inner_bn')(x)
    x = keras.layers.ReLU(name='relu')(x)
    x = keras.layers.GlobalAveragePooling2D(name='pool')(x)
    return keras.Model(image, keras.layers.Dense(2, name='last')(x))


def assigned(scheme):
    model = network()
    requested = {layer.name: None for layer in model.layers[1:]}
    return assign(Graph.from_model(model), requested, scheme)


def test_layers_come_before_the_boundary_and_the_boundary_before_bits():
    result = assigned(tf_n2uq.LSQScheme(3, layers={'last': 4}))
    bits = {name: config.weight_bits for name, config in result.configs.items()}
    assert bits == {'first': 8, 'inner': 3, 'last': 4}
    assert result.annotated == {'first', 'inner', 'inner_bn', 'relu', 'pool', 'last'}


def test_none_leaves_a_layer_in_float_with_or_without_a_kernel():
    result = assigned(tf_n2uq.LSQScheme(3, layers={'inner': None, 'pool': None}))
    assert set(result.configs) == {'first', 'last'}
    assert not {'inner', 'pool'} & result.annotated


@pytest.mark.parametrize(
    ('pattern', 'named'),
    [
        ('pool', r"'pool' \(GlobalAveragePooling2D\)"),
        ('relu|.*_bn', r"'inner_bn' \(BatchNormalization\), 'relu' \(ReLU\)"),
    ],
)
@pytest.mark.parametrize(
    'scheme',
    [
        lambda layers: tf_n2uq.N2UQScheme(2, layers=layers),
        lambda layers: tf_n2uq.AdaBitsScheme((8, 4), layers=layers),
    ],
)
def test_bits_for_layers_without_a_kernel_are_refused(scheme, pattern, named):
    words = f'got {{.*: 4}}, which matches {named}, where nothing takes bits'
    with pytest.raises(ValueError, match=f'layers: expected .* with a kernel, {words}'):
        tfmot.quantization.keras.quantize_apply(
            annotate(network()), scheme=scheme({'inner': 3, pattern: 4})
        )


def test_bits_for_layers_of_which_one_has_a_kernel_are_taken():
    result = assigned(tf_n2uq.LSQScheme(3, layers={'inner.*': 5}))
    assert result.configs['inner'].weight_bits == 5


def test_an_expression_that_matches_nothing_is_told_the_names():
    with pytest.raises(ValueError, match='layers: .*none of: first, inner, inner_bn, last'):
        assigned(tf_n2uq.LSQScheme(3, layers={'outer': 4}))


def test_any_policy_of_bits_will_do():
    """The rewrite knows a scheme by its interface, and not by its class."""

    class Policy:
        def __init__(self):
            self.boundary_bits, self.tensor_bits = None, None
            self.layers = {'inner': 2}
            self.deployment = tf_n2uq.layers.Deployment()

        def make_config(self, weight_bits, activation_bits):
            return tf_n2uq.N2UQQuantizeConfig(activation_bits, weight_bits)

        def default_config(self):
            return self.make_config(4, 4)

    assert isinstance(Policy(), tf_n2uq.BitPolicy)
    assert assigned(Policy()).configs == {'inner': tf_n2uq.N2UQQuantizeConfig(2)}
