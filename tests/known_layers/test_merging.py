import numpy as np
import pytest
import tf_keras as keras

from tests.known_layers.specs import known_spec
from tf_n2uq.graph.graph import Graph
from tf_n2uq.layers.layer_spec import Kind, kind_of, refusal_of, spec_of
from tf_n2uq.schemes.rewrite.assignment import Assignment
from tf_n2uq.schemes.rewrite.decomposition import decompose

layers = keras.layers


def taken_apart(layer, count):
    """The kinds of layers that merge `count` tensors, and what both networks make of numbers."""
    inputs = [keras.Input((5,)) for _ in range(count)]
    model = keras.Model(inputs, layer(inputs))
    graph = Graph.from_model(model)
    decompose(graph, Assignment(set(graph.steps), {}))
    data = list(np.random.default_rng(0).normal(size=(count, 3, 5)).astype(np.float32))
    np.testing.assert_allclose(graph.to_model()(data), model(data), rtol=1e-5, atol=1e-6)
    return [type(step.layer) for step in graph.in_order()][count:]


@pytest.mark.parametrize('kind', [layers.Add, layers.Multiply])
@pytest.mark.parametrize('count', [2, 3, 5])
def test_tensors_are_merged_two_at_a_time(kind, count):
    assert taken_apart(kind(), count) == [kind] * (count - 1)


@pytest.mark.parametrize('count', [2, 3])
def test_an_average_is_a_sum_that_is_scaled(count):
    assert taken_apart(layers.Average(), count) == [*[layers.Add] * (count - 1), layers.Rescaling]


def test_a_tensor_may_be_merged_with_itself():
    inputs = keras.Input((5,))
    model = keras.Model(inputs, layers.Add()([inputs, inputs, inputs]))
    graph = Graph.from_model(model)
    decompose(graph, Assignment(set(graph.steps), {}))
    data = np.ones((1, 5), np.float32)
    np.testing.assert_array_equal(graph.to_model()(data), 3 * data)


@pytest.mark.parametrize(
    ('layer', 'kind', 'takes_on_relu'),
    [
        (layers.Add(), Kind.SUM, True),
        (layers.Subtract(), Kind.SUM, True),
        (layers.Multiply(), Kind.PRODUCT, False),
        (layers.Concatenate(), Kind.NEW_RANGE, False),
    ],
)
def test_only_sums_do_the_work_of_a_relu(layer, kind, takes_on_relu):
    assert kind_of(layer) is kind
    assert known_spec(layer).takes_on_relu is takes_on_relu


def test_other_mergers_are_unknown():
    assert spec_of(layers.Dot(1)) is None


@pytest.mark.parametrize('kind', [layers.Maximum, layers.Minimum])
def test_the_extreme_of_three_is_that_of_two_and_one(kind):
    assert taken_apart(kind(), 3) == [kind] * 2


SHAPES = [(None, 4, 3), (None, 4, 5)]


@pytest.mark.parametrize('axis', [0, -3])
def test_images_of_a_batch_cannot_be_joined(axis):
    assert 'joins images of a batch' in refusal_of(layers.Concatenate(axis), SHAPES)


@pytest.mark.parametrize('axis', [-1, 1, 2])
def test_other_axes_can_be_joined(axis):
    assert refusal_of(layers.Concatenate(axis), SHAPES) is None
