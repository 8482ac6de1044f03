"""Files of networks whose activations have levels below zero, as many as the bits allow."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tests.networks import annotate, images_for
from tests.tflite.test_methods import check_file
from tf_n2uq.layers import Quantize
from tf_n2uq.quantizers import LSQPlusInputQuantizer

CASES = [
    (bits, lowest)
    for bits in range(2, 8)
    for lowest in sorted({1 - 2**bits, 2 - 2**bits, -(2 ** (bits - 1)), -1})
]


def network():
    """Signed inputs, padded with zeros, of a convolution, a depthwise one and a dense layer."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(8, 3, padding='same')(image)
    x = keras.layers.Conv2D(8, 3, padding='same', name='padded')(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.DepthwiseConv2D(3, padding='same')(keras.layers.LeakyReLU()(x))
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, keras.layers.Dense(4)(keras.layers.Dense(8)(x)))


def with_lowest_level(bits, lowest):
    """A calibrated network, all of whose inputs then get the same lowest level."""
    model = tfmot.quantization.keras.quantize_apply(
        annotate(network()), scheme=tf_n2uq.LSQPlusScheme(bits)
    )
    tf_n2uq.calibrate(model, images_for(model), verbose=0)
    for layer in model.layers:
        if isinstance(layer, Quantize) and isinstance(layer.quantizer, LSQPlusInputQuantizer):
            weights = layer.quantizer_weights
            weights['offset'].assign(lowest * weights['step_size'])
            assert float(layer.quantizer.lowest(weights)) == lowest
    return model


@pytest.mark.parametrize(('bits', 'lowest'), CASES)
def test_a_file_computes_what_keras_does(bits, lowest):
    check_file(with_lowest_level(bits, lowest))


def test_zeros_are_padded_with_the_level_of_zero():
    """With a wrong zero point, the outermost pixels would differ from Keras' and no others."""
    model = with_lowest_level(3, -5)
    content = tf_n2uq.tflite.convert(model)
    images = images_for(model)
    predicted = tf_n2uq.tflite.predict(content, images)
    expected = model.predict(images, verbose=0)
    assert np.corrcoef(predicted.ravel(), expected.ravel())[0, 1] > 0.999
