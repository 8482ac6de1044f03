"""The parts of detectors and other networks, from Keras to the file."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tests.tflite.test_layers import shaken
from tf_n2uq.tflite import compare, convert, inspect

layers = keras.layers
IMAGE = (16, 16, 4)


def convolution(filters=8, **options):
    return layers.Conv2D(filters, 3, padding='same', **options)


def normalized(x, filters=8, **options):
    x = layers.Conv2D(filters, 3, padding='same', use_bias=False, **options)(x)
    return tf.nn.leaky_relu(layers.BatchNormalization()(x), 0.1)


class SqueezeAndExcitation(layers.Layer):
    def __init__(self, channels):
        super().__init__()
        self.pool = layers.GlobalAveragePooling2D(keepdims=True)
        self.reduce = layers.Conv2D(channels // 2, 1, activation='relu')
        self.expand = layers.Conv2D(channels, 1, activation='sigmoid')

    def call(self, inputs):
        return inputs * self.expand(self.reduce(self.pool(inputs)))


def yolo(x):
    """The slices and the split of YOLOv5, and the head of YOLOv3-tiny."""
    x = tf.concat([x[:, ::2, ::2], x[:, 1::2, ::2], x[:, ::2, 1::2], x[:, 1::2, 1::2]], -1)
    x = normalized(x)
    first, second = tf.split(x, 2, axis=-1)
    x = tf.concat([normalized(first, 4), second], -1)
    deep = normalized(layers.MaxPooling2D(2)(x))
    deep = layers.MaxPooling2D(2, 1, padding='same')(deep)
    up = tf.image.resize(normalized(deep, 4), (8, 8), 'nearest')
    return convolution(6)(normalized(tf.concat([up, x], -1)))


def weighted_pyramid(x):
    """Two levels of EfficientDet's BiFPN."""
    high = convolution(activation='swish')(SqueezeAndExcitation(8)(convolution()(x)))
    low = convolution(strides=2, activation='swish')(high)
    down = tf.nn.swish(0.6 * high + 0.4 * layers.UpSampling2D(2)(low))
    down = layers.BatchNormalization()(layers.SeparableConv2D(8, 3, padding='same')(down))
    up = tf.nn.swish(0.5 * low + 0.5 * layers.MaxPooling2D(3, 2, padding='same')(down))
    return layers.SeparableConv2D(6, 3, padding='same')(up)


def super_resolution(x):
    x = convolution(activation='relu')(convolution(activation='relu')(x))
    return tf.clip_by_value(tf.nn.depth_to_space(convolution(12)(x), 2), 0.0, 1.0)


def normalizations_in_odd_places(x):
    x = layers.BatchNormalization()(layers.ReLU()(convolution()(x)))
    x = layers.BatchNormalization()(layers.Concatenate()([x, convolution()(x)]))
    x = layers.BatchNormalization()(layers.BatchNormalization()(convolution()(x)))
    return convolution()(layers.BatchNormalization()(layers.ZeroPadding2D(1)(x)))


def enlarged(x):
    x = layers.MaxPooling2D(4)(convolution()(x))
    x = convolution(activation='relu')(layers.UpSampling2D(8, interpolation='bilinear')(x))
    return layers.Conv2DTranspose(4, 3, strides=(1, 2), padding='same')(x)


def extremes(x):
    first, second = convolution()(x), convolution()(x)
    largest = tf.maximum(first, second)
    smallest = tf.minimum(layers.Minimum()([first, second]), 0.5)
    stacked = tf.reshape(tf.stack([largest, smallest], axis=-1), (-1, 16, 16, 16))
    return tf.nn.l2_normalize(layers.Dense(8)(tf.reduce_mean(stacked, [1, 2])), axis=-1)


@pytest.mark.parametrize('bits', [2, 4])
@pytest.mark.parametrize(
    'pattern',
    [
        yolo,
        weighted_pyramid,
        super_resolution,
        normalizations_in_odd_places,
        enlarged,
        extremes,
    ],
)
def test_the_file_is_one_integer_partition_that_computes_what_keras_does(pattern, bits):
    keras.utils.set_random_seed(3)
    inputs = keras.Input(IMAGE)
    annotated = tf_n2uq.annotate(shaken(keras.Model(inputs, pattern(inputs))))
    model = tfmot.quantization.keras.quantize_apply(annotated, scheme=tf_n2uq.N2UQScheme(bits))
    data = np.random.default_rng(1).normal(0.0, 1.0, (24, *IMAGE)).astype(np.float32)
    tf_n2uq.calibrate(model, data, verbose=0)
    content = convert(model)
    found = inspect(content)
    assert found.integer_only
    assert found.xnnpack_partitions == 1
    assert not found.undelegated
    compared = compare(model, content, data[:8])
    assert compared.xnnpack.mean_difference <= 0.2
    for each in compared.quantizers:
        assert each.xnnpack.differing <= max(2, 0.004 * each.values), each
