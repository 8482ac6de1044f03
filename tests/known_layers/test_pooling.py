import numpy as np
import pytest
import tf_keras as keras

from tests.known_layers.taken_apart import as_file
from tf_n2uq.graph.graph import Graph
from tf_n2uq.layers import BorderScale
from tf_n2uq.layers.layer_spec import Kind, kind_of
from tf_n2uq.schemes.rewrite.assignment import Assignment
from tf_n2uq.schemes.rewrite.decomposition import decompose

layers = keras.layers


def taken_apart(layer, shape):
    inputs = keras.Input(shape)
    model = keras.Model(inputs, layer(inputs))
    graph = Graph.from_model(model)
    decompose(graph, Assignment(set(graph.steps), {}))
    x = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    np.testing.assert_allclose(graph.to_model()(x), model(x), rtol=1e-4, atol=1e-5)
    return [step.layer for step in graph.in_order()][1:]


@pytest.mark.parametrize(
    ('window', 'stride', 'shape'),
    [(2, 1, (5, 6, 3)), (3, 2, (6, 6, 3)), ((3, 5), (2, 3), (7, 8, 3)), (3, 3, (7, 7, 3))],
)
def test_windows_that_hang_over_average_zeros_and_are_scaled_up(window, stride, shape):
    parts = taken_apart(layers.AveragePooling2D(window, stride, padding='same'), shape)
    kinds = [type(part) for part in parts]
    assert kinds == [layers.ZeroPadding2D, layers.AveragePooling2D, BorderScale]
    assert parts[1].padding == 'valid'
    assert min(parts[2].rows + parts[2].columns) == 1.0
    # Factors such as 3/2 are a little more, so that no value lies between two steps.
    assert any(factor > 1.0 for factor in parts[2].rows + parts[2].columns)


@pytest.mark.parametrize(
    ('padding', 'shape'), [('valid', (5, 6, 3)), ('same', (6, 6, 3)), ('same', (4, 2, 3))]
)
def test_windows_inside_the_image_stay_one_layer(padding, shape):
    parts = taken_apart(layers.AveragePooling2D(2, padding=padding), shape)
    assert [type(part) for part in parts] == [layers.AveragePooling2D]


@pytest.mark.parametrize(
    'layer',
    [
        layers.AveragePooling2D(2),
        layers.AveragePooling1D(2),
        layers.GlobalAveragePooling2D(),
        layers.GlobalAveragePooling1D(),
        BorderScale([1.0], [1.0]),
    ],
    ids=lambda layer: layer.name,
)
def test_averages_are_new_numbers(layer):
    assert kind_of(layer) is Kind.NEW_RANGE


def test_the_file_computes_an_average_over_the_border_as_keras_does():
    pooling = layers.AveragePooling2D(3, 1, padding='same')
    exact, in_keras, in_file = as_file(lambda x: pooling(x), (8, 8, 3))
    assert np.max(np.abs(in_file - in_keras)) < 1.01
    assert np.corrcoef(in_keras.ravel(), exact.ravel())[0, 1] > 0.99
