import numpy as np
import pytest
import tf_keras as keras

import tf_n2uq
from tests.networks import quantize
from tf_n2uq.graph.graph import Graph
from tf_n2uq.layers import ChannelMean, HardSigmoid, InverseDeviation
from tf_n2uq.schemes.rewrite.assignment import Assignment
from tf_n2uq.schemes.rewrite.decomposition import decompose
from tf_n2uq.schemes.rewrite.layout_transform import quantize_graph

_layers = keras.layers


def decomposed(layer, *shapes):
    """A layer's model, and what it is replaced by."""
    inputs = [keras.Input(shape) for shape in shapes]
    model = keras.Model(inputs, layer(inputs if len(inputs) > 1 else inputs[0]))
    rng = np.random.default_rng(0)
    model.set_weights([weight + rng.normal(0, 0.3, weight.shape) for weight in model.get_weights()])
    graph = Graph.from_model(model)
    assignment = Assignment(set(graph.steps), {})
    decompose(graph, assignment)
    assert assignment.annotated == set(graph.steps)
    data = [rng.normal(size=(2, *shape)).astype(np.float32) for shape in shapes]
    return model(data), graph.to_model()(data), [type(step.layer) for step in graph.in_order()]


@pytest.mark.parametrize(
    ('layer', 'inputs'),
    [
        (_layers.LayerNormalization(), 1),
        (_layers.LayerNormalization(center=False, epsilon=1e-6), 1),
        (_layers.LayerNormalization(scale=False), 1),
        (_layers.LayerNormalization(center=False, scale=False), 1),
        (_layers.Add(), 4),
        (_layers.Multiply(), 3),
        (_layers.Average(), 3),
        (_layers.Activation('swish'), 1),
        (_layers.Activation('silu'), 1),
        (tf_n2uq.layers.HardSwish(), 1),
        *(
            (_layers.AveragePooling2D(window, stride, padding='same'), 1)
            for window, stride in ((2, 1), (3, 1), (3, 2), ((3, 5), (2, 3)))
        ),
    ],
    ids=lambda each: getattr(each, 'name', ''),
)
def test_the_parts_compute_the_same(layer, inputs):
    expected, got, kinds = decomposed(layer, *[(7, 8, 5)] * inputs)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)
    # More layers than the inputs and the one: it has been taken apart.
    assert len(kinds) > inputs + 1


def test_an_average_whose_windows_all_hang_over_is_decomposed_too():
    layer = _layers.AveragePooling2D(3, 1, padding='same')
    expected, got, kinds = decomposed(layer, (1, 1, 5))
    np.testing.assert_allclose(got, expected, rtol=1e-4)
    assert tf_n2uq.layers.BorderScale in kinds


def test_gelu_is_within_two_hundredths():
    expected, got, _ = decomposed(_layers.Activation('gelu'), (40, 40, 3))
    assert 1e-3 < np.max(np.abs(got - expected)) < 0.021


def test_a_layer_normalization_is_made_of_what_files_have():
    _, _, kinds = decomposed(_layers.LayerNormalization(), (4, 4, 6))
    assert kinds.count(ChannelMean) == 2
    assert InverseDeviation in kinds
    assert _layers.LayerNormalization not in kinds


def test_hard_swish_has_a_gate_of_lines():
    assert HardSigmoid in decomposed(tf_n2uq.layers.HardSwish(), (4, 4, 6))[2]


@pytest.mark.parametrize(
    'layer',
    [
        _layers.AveragePooling2D(2, padding='same'),
        _layers.AveragePooling2D(3, 1, padding='valid'),
        _layers.Activation('relu'),
        _layers.ReLU(),
    ],
)
def test_layers_with_an_operator_stay(layer):
    _, _, kinds = decomposed(layer, (8, 8, 3))
    assert kinds == [_layers.InputLayer, type(layer)]


def test_an_offset_that_makes_ties_of_pixels_is_moved_by_an_eighth_of_a_step():
    expected, got, _ = decomposed(_layers.Rescaling(1 / 127.5, -1.0), (4, 4, 3))
    np.testing.assert_allclose(expected - got, 1 / 1024, rtol=1e-3)


def test_quantizing_again_changes_nothing():
    image = keras.Input((6, 6, 3))
    x = _layers.LayerNormalization()(_layers.Rescaling(1 / 127.5, -1.0)(image))
    x = _layers.AveragePooling2D(3, 1, padding='same')(_layers.Activation('swish')(x))
    model = quantize(keras.Model(image, _layers.Dense(4)(_layers.Flatten()(x))), bits=2)
    graph = Graph.from_model(model)
    before = {step.name: step.layer.get_config() for step in graph}
    quantize_graph(graph, Assignment(set(graph.steps), {}), tensor_bits=8)
    assert {step.name: step.layer.get_config() for step in graph} == before
