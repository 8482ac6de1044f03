import numpy as np
import pytest
import tf_keras as keras

from tests.schemes.annotation.networks_in_networks import assert_same_outputs, normal
from tf_n2uq.graph.graph import Graph
from tf_n2uq.layers import DotProductAttention
from tf_n2uq.schemes.annotation.attention import dissolve_attention

layers = keras.layers
MultiHeadAttention = layers.MultiHeadAttention


def model_of(layer, shape=(5, 6), **call):
    series = keras.Input(shape)
    model = keras.Model(series, layer(series, series, **call))
    # The biases of a new layer are 0.
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=array.shape) for array in model.get_weights()])
    return model


def dissolved(model, left_out=()):
    graph = Graph.from_model(model)
    dissolve_attention(graph, left_out)
    return graph.to_model()


@pytest.mark.parametrize(
    ('layer', 'call', 'shape'),
    [
        (lambda: MultiHeadAttention(2, 4, name='own'), {}, (5, 6)),
        (lambda: MultiHeadAttention(3, 2, value_dim=4, output_shape=7, name='own'), {}, (5, 6)),
        (lambda: MultiHeadAttention(2, 4, use_bias=False, name='own'), {}, (5, 6)),
        (lambda: MultiHeadAttention(2, 4, name='own'), {'use_causal_mask': True}, (5, 6)),
        (lambda: MultiHeadAttention(2, 4, attention_axes=2, name='own'), {}, (3, 5, 6)),
        (lambda: MultiHeadAttention(2, 4, name='own'), {}, (3, 5, 6)),
    ],
)
def test_attention_becomes_projections_and_products(layer, call, shape):
    model = model_of(layer(), shape, **call)
    result = dissolved(model)
    kinds = {each.name: type(each) for each in result.layers[1:]}
    dense = dict.fromkeys(('own_query', 'own_key', 'own_value', 'own'), layers.Dense)
    assert kinds == {**dense, 'own_products': DotProductAttention}
    assert result.output_names == ['own']
    assert_same_outputs(model, result, normal(*shape), 1e-4)


def test_other_keys_and_a_mask_are_taken():
    query, key, value = (keras.Input((size, 6)) for size in (4, 5, 5))
    mask = keras.Input((4, 5))
    outputs = MultiHeadAttention(2, 4)(query, value, key=key, attention_mask=mask)
    model = keras.Model([query, key, value, mask], outputs)
    data = [normal(4, 6), normal(5, 6), 1 - normal(5, 6), normal(4, 5) > 0.3]
    assert_same_outputs(model, dissolved(model), data, 1e-4)


def test_a_layer_that_is_called_twice_shares_its_projections():
    series = keras.Input((5, 6))
    layer = MultiHeadAttention(2, 3)
    model = keras.Model(series, layer(layer(series, series), series))
    result = dissolved(model)
    assert len(result.weights) == len(model.weights)
    assert_same_outputs(model, result, normal(5, 6), 1e-4)


def test_regularizers_and_frozen_weights_are_kept():
    layer = MultiHeadAttention(2, 4, kernel_regularizer='l2', trainable=False, name='own')
    result = dissolved(model_of(layer))
    dense = result.get_layer('own_query')
    assert not dense.trainable
    assert isinstance(dense.kernel_regularizer, keras.regularizers.L2)


@pytest.mark.parametrize(
    ('arguments', 'call'),
    [
        ({'kernel_constraint': 'max_norm'}, {}),
        ({'activity_regularizer': 'l2'}, {}),
        ({'output_shape': (2, 3)}, {}),
        ({}, {'return_attention_scores': True}),
    ],
)
def test_a_layer_with_other_settings_stays_whole(arguments, call):
    model = model_of(MultiHeadAttention(2, 4, name='own', **arguments), **call)
    result = dissolved(model)
    assert [type(each) for each in result.layers[1:]] == [MultiHeadAttention]
    expected, got = (each.predict(normal(5, 6), verbose=0) for each in (model, result))
    np.testing.assert_allclose(got[0], expected[0], 1e-5, 1e-5)


def test_a_layer_that_is_left_out_stays_whole():
    result = dissolved(model_of(MultiHeadAttention(2, 4, name='own')), {'own'})
    assert [type(each) for each in result.layers[1:]] == [MultiHeadAttention]
