"""Networks of every method as integer files that compute what Keras does."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow_model_optimization as tfmot
import tf_keras as keras

import tf_n2uq
from tests.networks import annotate, float_network, images_for
from tf_n2uq.layers import Quantize
from tf_n2uq.quantizers import DoReFaQuantizer
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.reports.verify import check_integer_only

# N2UQ's files are those of most other tests.
SCHEMES = {method.name: method.scheme for method in tf_n2uq.methods() if method.name != 'n2uq'}
# Keras adds up in floats: of a hundred numbers one may round to the other side.
FEW = 0.02


def quantized(model, scheme):
    model = tfmot.quantization.keras.quantize_apply(annotate(model), scheme=scheme)
    tf_n2uq.calibrate(model, images_for(model), verbose=0)
    return model


def check_file(model):
    """Converts a model and compares both."""
    images = images_for(model, 4)
    content = tf_n2uq.tflite.convert(model)
    check_integer_only(flatbuffer.read(content))
    report = tf_n2uq.tflite.compare(model, content, images)
    assert report.not_compared == ()
    assert max(each.xnnpack_share for each in report.quantizers) < FEW
    assert report.xnnpack.mean_difference < 0.5


@pytest.mark.parametrize(
    ('name', 'bits'), [('batch_normalized', 2), ('zero_padded', 4), ('several_readers', 5)]
)
@pytest.mark.parametrize('method', SCHEMES)
def test_a_file_computes_what_keras_does(method, name, bits):
    check_file(quantized(float_network(name), SCHEMES[method](bits)))


@pytest.mark.parametrize('method', SCHEMES)
def test_a_trained_file_computes_what_keras_does(method):
    model = quantized(float_network('depthwise'), SCHEMES[method](3))
    images = images_for(model, 32)
    model.compile(keras.optimizers.Adam(1e-3), 'mse')
    model.fit(images, np.zeros((32, 4)), batch_size=8, epochs=2, verbose=0)
    check_file(model)


@pytest.mark.parametrize('levels', ['original', 'modified', 'centered_symmetric'])
@pytest.mark.parametrize('rescale', [None, 'constant', 'stddev'])
def test_all_levels_and_rescalings_of_kernels_are_exported(levels, rescale):
    scheme = tf_n2uq.SATScheme(4, levels=levels, rescale=rescale)
    check_file(quantized(float_network('dense_only'), scheme))


def test_eight_bits_are_plain_int8():
    model = quantized(float_network('sequential'), tf_n2uq.SATScheme(8))
    check_file(model)
    report = tf_n2uq.tflite.inspect(tf_n2uq.tflite.convert(model, optimize_for='size'))
    assert {layer.kernel_type for layer in report.layers} == {'INT8'}


def test_levels_without_one_for_zero_are_refused_for_activations():
    model = quantized(float_network('sequential'), tf_n2uq.PACTScheme(4, tensor_bits=None))
    image = keras.Input((8, 8, 3))
    x = image
    for layer in model.layers:
        inner = isinstance(layer, Quantize)
        x = (Quantize(DoReFaQuantizer(4, 'centered_asymmetric')) if inner else layer)(x)
    with pytest.raises(ValueError, match='ActivationQuantizer describes, got DoReFaQuantizer'):
        tf_n2uq.tflite.convert(keras.Model(image, x), representative_dataset=images_for(model))
