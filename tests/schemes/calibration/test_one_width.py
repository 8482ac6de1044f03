import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

import tf_n2uq
from tests.networks import float_network, images_for, quantize
from tf_n2uq.layers import Quantize
from tf_n2uq.quantizers import RangeQuantizer, is_trained


def _correlation(a, b):
    return np.corrcoef(np.ravel(a), np.ravel(b))[0, 1]


@pytest.mark.parametrize(
    'name', ['residual', 'batch_normalized', 'depthwise', 'normalized_first', 'zero_padded']
)
def test_a_calibrated_network_follows_the_float_one(name):
    model = float_network(name)
    images = images_for(model, 128)
    expected = model.predict(images, verbose=0)
    quantized = quantize(model, bits=4)
    before = _relative_error(quantized.predict(images, verbose=0), expected)
    tf_n2uq.calibrate(quantized, images, verbose=0)
    after = _relative_error(quantized.predict(images, verbose=0), expected)
    # What is left is mostly the border: where inputs are signed, level 0 is not zero.
    assert after < 0.35
    assert after < 0.5 * before


def _relative_error(got, expected):
    return np.mean(np.square(got - expected)) / np.mean(np.square(expected))


def test_every_range_covers_what_the_float_network_gives():
    model = float_network('residual')
    images = images_for(model)
    quantized = quantize(model, bits=2)
    tf_n2uq.calibrate(quantized, images, verbose=0)
    for layer in quantized.layers:
        if isinstance(layer, Quantize) and isinstance(layer.quantizer, RangeQuantizer):
            assert is_trained(layer.quantizer_weights), layer.name
    low, high = quantized.get_layer(_first_range(quantized)).weights
    np.testing.assert_allclose([low, high], [0.0, images.max()], atol=1e-6)


def _first_range(model):
    return next(layer.name for layer in model.layers if isinstance(layer, Quantize))


def test_signed_inputs_keep_their_negative_half():
    image = keras.Input((6, 6, 3))
    x = keras.layers.Conv2D(8, 3, padding='same')(image)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Conv2D(8, 1, name='inner')(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Conv2D(4, 1)(x)
    model = keras.Model(image, x)
    images = np.random.default_rng(0).normal(size=(64, 6, 6, 3)).astype(np.float32)
    quantized = quantize(model, bits=4)
    tf_n2uq.calibrate(quantized, images, verbose=0)
    start = quantized.get_layer('inner_thresholds').quantizer_weights['start']
    assert float(start[0]) < 0
    expected, got = model.predict(images, verbose=0), quantized.predict(images, verbose=0)
    assert _correlation(expected, got) > 0.97


@pytest.mark.parametrize('form', ['array', 'dataset', 'labelled', 'list'])
def test_data_comes_in_every_usual_form(form):
    model = quantize(float_network('sequential'), bits=2)
    images = images_for(model)
    labels = np.zeros(len(images), np.int32)
    data = {
        'array': images,
        'dataset': tf.data.Dataset.from_tensor_slices(images).batch(8),
        'labelled': tf.data.Dataset.from_tensor_slices((images, labels)).batch(8),
        'list': [images[:8], images[8:]],
    }[form]
    tf_n2uq.calibrate(model, data, verbose=0)
    high = next(layer for layer in model.layers if isinstance(layer, Quantize)).quantizer.bounds(
        model.get_layer(_first_range(model)).quantizer_weights
    )[1]
    np.testing.assert_allclose(high, images.max(), rtol=1e-6)


def test_calibration_is_repeatable():
    images = images_for(float_network('residual'))
    weights = []
    for _ in range(2):
        model = quantize(float_network('residual'), bits=2)
        tf_n2uq.calibrate(model, images, verbose=0)
        weights.append(model.get_weights())
    for first, second in zip(*weights, strict=True):
        np.testing.assert_array_equal(first, second)


def test_bad_data_is_refused_before_anything_changes():
    model = quantize(float_network('sequential'), bits=2)
    images = images_for(model)
    before = model.get_weights()
    empty = tf.data.Dataset.from_tensor_slices(images).batch(8).take(0)
    with pytest.raises(ValueError, match='dataset: .*empty'):
        tf_n2uq.calibrate(model, empty, verbose=0)
    with pytest.raises(ValueError, match='dataset: .*empty'):
        tf_n2uq.calibrate(model, images[:0], verbose=0)
    with pytest.raises(ValueError, match=r'dataset: expected batches of shape.*\(8, 7, 7, 3\)'):
        tf_n2uq.calibrate(model, [images[:8, :7, :7]], verbose=0)
    for bad in (np.nan, np.inf):
        spoiled = images.copy()
        spoiled[20, 3, 3, 1] = bad
        with pytest.raises(ValueError, match='dataset: .*NaN or infinity in batch 2'):
            tf_n2uq.calibrate(
                model, tf.data.Dataset.from_tensor_slices(spoiled).batch(8), verbose=0
            )
    with pytest.raises(TypeError, match='dataset: .*int'):
        tf_n2uq.calibrate(model, 3, verbose=0)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_models_that_cannot_be_calibrated_are_refused():
    import keras as keras3

    images = np.zeros((4, 8, 8, 3), np.float32)
    modern = keras3.Sequential([keras3.Input((8, 8, 3)), keras3.layers.Flatten()])
    with pytest.raises(TypeError, match='Keras 3.*tf_n2uq.from_keras3'):
        tf_n2uq.calibrate(modern, images)
    with pytest.raises(ValueError, match='expected a quantized model.*quantize_apply'):
        tf_n2uq.calibrate(float_network('residual'), images)
    with pytest.raises(ValueError, match='input shape is not'):
        tf_n2uq.calibrate(keras.Sequential([keras.layers.Dense(2)]), images)

    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(ValueError, match='subclassed Subclassed'):
        tf_n2uq.calibrate(Subclassed(), images)
    with pytest.raises(TypeError, match='tf_keras model'):
        tf_n2uq.calibrate('model.h5', images)
