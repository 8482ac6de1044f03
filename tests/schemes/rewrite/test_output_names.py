"""The outputs of a quantized model have the names that they have in the float model."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras
from tensorflow_model_optimization.quantization.keras import quantize_apply

import tf_n2uq
from tests.networks import quantize
from tf_n2uq.graph.graph import Graph
from tf_n2uq.schemes.rewrite.output_names import name_outputs

_layers = keras.layers

ENDS = {
    'kernel': lambda x: _layers.Dense(2, name='end')(x),
    'softmax': lambda x: _layers.Dense(2, 'softmax', name='end')(x),
    'tanh': lambda x: _layers.Dense(2, 'tanh', name='end')(x),
    'layer without a kernel': lambda x: _layers.ReLU(name='end')(_layers.Dense(2, name='in')(x)),
    'several layers': lambda x: _layers.Activation('gelu', name='end')(_layers.Dense(2)(x)),
    'moved numbers': lambda x: _layers.Reshape((2, 1), name='end')(_layers.Dense(2)(x)),
}


@pytest.mark.parametrize('tensor_bits', [8, None])
@pytest.mark.parametrize('end', ENDS.values(), ids=ENDS)
def test_every_output_keeps_its_name(end, tensor_bits):
    inputs = keras.Input((4,))
    x = _layers.Dense(3, 'relu', name='body')(inputs)
    model = keras.Model(inputs, [_layers.Dense(5, 'relu', name='z')(x), end(x)])
    quantized = quantize(model, bits=2, tensor_bits=tensor_bits)
    assert quantized.output_names == ['z', 'end']
    assert keras.models.clone_model(quantized).output_names == ['z', 'end']


def test_losses_metrics_and_labels_are_addressed_by_the_names_of_the_float_model(tmp_path):
    inputs = keras.Input((4,))
    x = _layers.Dense(3, 'relu')(inputs)
    heads = [_layers.Dense(3, 'softmax', name='label')(x), _layers.Dense(2, name='box')(x)]
    model = quantize(keras.Model(inputs, heads), bits=2)
    points = np.random.default_rng(0).random((8, 4)).astype(np.float32)
    tf_n2uq.calibrate(model, points, verbose=0)
    labels = {'label': np.zeros(8, int), 'box': np.ones((8, 2), np.float32)}
    model.save(tmp_path / 'model.keras')
    for each in (model, keras.models.load_model(tmp_path / 'model.keras')):
        each.compile(
            'sgd', {'label': 'sparse_categorical_crossentropy', 'box': 'mse'}, {'box': ['mae']}
        )
        found = each.fit(points, labels, verbose=0).history
        assert list(found) == ['loss', 'label_loss', 'box_loss', 'box_mae']


def test_two_networks_of_one_process_have_the_same_names():
    def names():
        inputs = keras.Input((4,), name='in')
        heads = [_layers.Dense(2, name=name)(inputs) for name in ('one', 'other')]
        model = quantize(keras.Model(inputs, heads), bits=2)
        return [layer.name for layer in model.layers]

    assert names() == names()


def test_an_inner_model_at_the_end_names_the_output():
    inputs, inside = keras.Input((4,)), keras.Input((4,))
    inner = keras.Model(inside, _layers.Dense(2, name='dense')(inside), name='head')
    other = _layers.Dense(3, name='other')(inputs)
    annotated = tf_n2uq.annotate(keras.Model(inputs, [inner(inputs), other]))
    quantized = quantize_apply(annotated, scheme=tf_n2uq.N2UQScheme(2))
    assert quantized.output_names == ['head', 'other']


def graph_of(outputs_of):
    inputs = keras.Input((4,), name='in')
    x = _layers.Dense(4, name='a')(inputs)
    return Graph.from_model(keras.Model(inputs, outputs_of(inputs, x)))


def names_after(graph, names):
    name_outputs(graph, names)
    return [graph.producer(ref).layer.name for ref in tf.nest.flatten(graph.outputs)]


def test_a_layer_that_has_the_name_makes_way():
    graph = graph_of(lambda _, x: _layers.ReLU(name='b')(x))
    assert names_after(graph, ['a']) == ['a']
    assert sorted(step.layer.name for step in graph) == ['a', 'in', 'quant_a']


def test_two_outputs_may_swap_their_names():
    graph = graph_of(lambda _, x: [_layers.ReLU(name='b')(x), _layers.ReLU(name='c')(x)])
    assert names_after(graph, ['c', 'b']) == ['c', 'b']
    assert len({step.layer.name for step in graph}) == 4


def test_inputs_shared_layers_and_outputs_that_come_twice_keep_their_names():
    graph = graph_of(lambda inputs, x: [_layers.ReLU(name='b')(inputs), x])
    assert names_after(graph, ['in', 'a']) == ['b', 'a']
    twice = graph_of(lambda _, x: [x, x])
    assert names_after(twice, ['d', 'd_1']) == ['d', 'd']
    dense = _layers.Dense(4, name='dense')
    shared = graph_of(lambda _, x: dense(dense(x)))
    assert names_after(shared, ['other']) == ['dense']
