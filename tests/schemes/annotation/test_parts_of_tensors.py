import pytest
import tensorflow as tf
import tf_keras as keras

from tests.schemes.annotation.networks_in_networks import assert_same_outputs, normal
from tf_n2uq.graph.graph import Graph
from tf_n2uq.layers import Slice
from tf_n2uq.schemes.annotation.tf_functions import replace_operators


def replaced(function, size):
    image = keras.Input(size)
    model = keras.Model(image, function(image))
    graph = Graph.from_model(model)
    replace_operators(graph)
    return model, graph.to_model()


def test_results_of_a_split_that_nobody_reads_are_not_computed():
    model, result = replaced(lambda x: tf.split(x, [1, 2, 3], axis=-1)[1], (4, 4, 6))
    (layer,) = [layer for layer in result.layers if isinstance(layer, Slice)]
    assert (layer.starts, layer.counts) == ([0, 0, 1], [None, None, 2])
    assert_same_outputs(model, result, normal(4, 4, 6))


def test_results_of_a_split_may_be_outputs():
    model, result = replaced(lambda x: tf.unstack(x, axis=1), (3, 5))
    assert_same_outputs(model, result, normal(3, 5))


@pytest.mark.parametrize(
    'function',
    [
        lambda x: tf.split(x, [-1, 2], axis=2),
        lambda x: x[:, -3:, ..., 1::2],
        lambda x: x[:, 2:3, 0],
    ],
)
def test_parts_are_those_that_tensorflow_takes(function):
    model, result = replaced(function, (4, 4, 6))
    assert_same_outputs(model, result, normal(4, 4, 6))


def test_axes_of_unknown_size_stay_where_nothing_is_taken_of_them():
    _, result = replaced(lambda x: tf.split(x, 2, axis=-1)[0], (None, None, 6))
    assert result.output_shape == (None, None, None, 3)


def test_images_of_a_batch_are_not_sliced():
    _, result = replaced(lambda x: x[::2], (4, 4, 6))
    assert not [layer for layer in result.layers if isinstance(layer, Slice)]
