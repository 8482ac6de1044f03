"""No two kernels are equal constants, which the converter would merge."""

import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import tf_n2uq
from tests.networks import images_for, quantize
from tf_n2uq.graph.graph import Graph
from tf_n2uq.layers import Deployment
from tf_n2uq.tflite.network.kernels import IntegerKernel, with_distinct_constants
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.reports.matching import match

layers = keras.layers


def constants_of(kernels):
    return [
        kernel.constant.tobytes()
        for kernel in with_distinct_constants(dict(enumerate(kernels))).values()
    ]


@pytest.mark.parametrize('value', [0, 3])
@pytest.mark.parametrize('size', [1, 4])
def test_equal_kernels_become_different_constants_of_the_same_integers(value, size):
    kernel = IntegerKernel(np.full((1, 1, size), value), np.full(size, 0.1), np.zeros(size))
    apart = with_distinct_constants(dict.fromkeys('abcde', kernel) | {'f': kernel})
    assert len({each.constant.tobytes() for each in apart.values()}) == len(apart)
    for each in apart.values():
        integers = np.rint(each.constant / each.unit.astype(np.float32))
        np.testing.assert_array_equal(integers, kernel.integers)
        grid = tf.reshape(each.on_grid(), [-1]) / np.float32(each.unit)
        np.testing.assert_allclose(grid, np.full(size, value), atol=1e-5)


def test_kernels_of_other_shapes_may_be_equal():
    a = IntegerKernel(np.zeros((1, 1, 4), int), np.ones(4), np.zeros(4))
    b = IntegerKernel(np.zeros((1, 2, 2), int), np.ones(2), np.zeros(2))
    assert len(constants_of([a, b])) == 2
    assert with_distinct_constants({'a': a, 'b': b}) == {'a': a, 'b': b}


def test_a_network_of_several_prelus_without_a_slope_is_converted():
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(4, 3, padding='same')(image)
    for _ in range(3):
        # Their slopes are 0, and at 8 bits the file computes them.
        x = layers.PReLU(shared_axes=[1, 2])(x)
        x = layers.Add()([x, layers.Conv2D(4, 3, padding='same')(x)])
    model = keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    model = quantize(model, bits=8)
    images = images_for(model)
    tf_n2uq.calibrate(model, images, verbose=0)
    got = tf_n2uq.tflite.predict(tf_n2uq.tflite.convert(model), images)
    step = float(model.layers[-1].int8_scale())
    np.testing.assert_allclose(got, model(images, training=False), atol=1.01 * step)


@pytest.mark.parametrize('halved', [True, False])
def test_keras_and_the_file_round_by_the_grid_of_the_deployment(halved):
    image = keras.Input((8, 8, 3))
    x = layers.Conv2D(8, 3, padding='same', activation='relu')(image)
    for _ in range(2):
        x = layers.Conv2D(8, 3, padding='same', use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    model = keras.Model(image, layers.Dense(3)(layers.GlobalAveragePooling2D()(x)))
    generator = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.set_weights([generator.uniform(0.5, 1.5, w.shape) for w in layer.weights])
    model = quantize(model, bits=4, deployment=Deployment(halved_bits=(4,) if halved else ()))
    images = images_for(model)
    tf_n2uq.calibrate(model, images, verbose=0)
    content = tf_n2uq.tflite.convert(model)
    file = flatbuffer.read(content)
    matches, missing = match(Graph.of_layers(model), file)
    stretches = {each.stretch for each in matches if each.levels == 16}
    assert stretches == {14 if halved else 16}
    assert not missing
    got, expected = tf_n2uq.tflite.predict(content, images), model(images, training=False)
    step = float(model.layers[-1].int8_scale())
    assert np.mean(np.abs(got - expected) > step / 2) < 0.1
