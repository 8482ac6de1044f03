import numpy as np
import pytest
import tf_keras as keras

import tf_n2uq
from tests.known_layers.taken_apart import as_file
from tests.networks import quantize
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


@pytest.mark.parametrize('keepdims', [False, True])
@pytest.mark.parametrize('dimensions', [1, 2])
def test_an_average_over_one_pixel_writes_in_its_own_range(dimensions, keepdims):
    convolution = [layers.Conv1D, layers.Conv2D][dimensions - 1](8, 3)
    average = [layers.GlobalAveragePooling1D, layers.GlobalAveragePooling2D][dimensions - 1]
    chain = [convolution, layers.ReLU(), average(keepdims=keepdims, name='average')]
    shape = (*[3] * dimensions, 3)
    model = quantize(keras.Sequential([keras.Input(shape), *chain, layers.Dense(4)]))
    images = np.random.default_rng(0).normal(size=(16, *shape)).astype(np.float32)
    tf_n2uq.calibrate(model, images, verbose=0)
    highest = model.get_layer('average_range').quantizer_weights['max']
    highest.assign(1.3 * highest)
    content = tf_n2uq.tflite.convert(model)
    report = tf_n2uq.tflite.compare(model, content, images)
    assert 'average_range' in [each.name for each in report.quantizers]
    assert not [each for each in report.quantizers if each.xnnpack.differing]
    assert report.xnnpack.max_difference < 0.01
