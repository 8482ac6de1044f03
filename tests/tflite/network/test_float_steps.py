import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tf_n2uq.graph.decisions import decide
from tf_n2uq.graph.graph import Graph
from tf_n2uq.tflite.network.float_steps import find_float_steps, float_ends, input_types

layers = keras.layers


def graph_of(inputs, outputs):
    model = tfmot.quantization.keras.quantize_apply(
        tf_n2uq.annotate(keras.Model(inputs, outputs)), scheme=tf_n2uq.N2UQScheme(bits=2)
    )
    graph = Graph.of_layers(model)
    return graph, find_float_steps(graph, decide(graph))


@pytest.fixture
def sentence():
    """A network of words, whose integers are moved in front of the table."""
    words = keras.Input((2, 3), dtype='int32', name='words')
    x = layers.Embedding(9, 4, name='table')(layers.Flatten(name='moved')(words))
    x = layers.GRU(4, return_sequences=True, name='memory')(layers.Conv1D(4, 3)(x))
    return graph_of(words, layers.Reshape((16,), name='flat')(x))


def test_movements_stay_with_the_float_layers_next_to_them(sentence):
    assert sentence[1] == {'moved', 'table', 'memory', 'flat'}


def test_integers_that_float_layers_read_keep_their_type(sentence):
    assert input_types(*sentence) == [tf.int32]


def test_float_layers_at_the_ends_are_named(sentence):
    assert float_ends(*sentence) == ({0: 'moved'}, {0: 'flat'})


def test_integers_that_integer_layers_read_are_float():
    image = keras.Input((4, 4, 3), dtype='int32')
    graph, floats = graph_of(image, layers.Conv2D(2, 3)(layers.Rescaling(1 / 255)(image)))
    assert floats == frozenset()
    assert input_types(graph, floats) == [tf.float32]
