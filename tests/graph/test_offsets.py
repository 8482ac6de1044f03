import numpy as np
import tf_keras as keras

from tf_n2uq.graph.graph import Graph
from tf_n2uq.graph.offsets import offset_of
from tf_n2uq.layers import Quantize, RPReLU
from tf_n2uq.quantizers import RangeQuantizer

layers = keras.layers


def graph_of():
    image = keras.Input((8, 8, 3), name='image')
    x = Quantize(RangeQuantizer(), offset={'rprelu': 1}, name='range')(image)
    x = layers.MaxPooling2D(name='pool')(x)
    rprelu = RPReLU(name='rprelu')
    x = rprelu(x)
    rprelu.bias_in.assign([1.0, 2.0, 3.0])
    rprelu.bias_out.assign([0.5, 0.5, 0.5])
    return Graph.of_layers(keras.Model(image, x))


def test_a_tensor_has_the_offset_of_the_layer_that_writes_it():
    graph = graph_of()
    np.testing.assert_array_equal(offset_of(graph, graph.steps['range'].output), [1.5, 2.5, 3.5])


def test_layers_that_only_move_numbers_keep_the_offset():
    graph = graph_of()
    np.testing.assert_array_equal(offset_of(graph, graph.steps['pool'].output), [1.5, 2.5, 3.5])


def test_other_tensors_have_none():
    graph = graph_of()
    for name in ('image', 'rprelu'):
        assert offset_of(graph, graph.steps[name].output) == 0.0
