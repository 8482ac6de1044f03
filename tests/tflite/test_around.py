"""Models around quantized models, and parts of them, as files."""

import numpy as np
import pytest
import tf_keras as keras

import tf_n2uq
from tests.networks import float_network, images_for, quantize, quantized_network

layers = keras.layers


@pytest.fixture(scope='module')
def quantized():
    return quantized_network('batch_normalized')


def differing_steps(model, images, **options):
    """Returns by how many steps of the output a file differs from Keras at most."""
    content = tf_n2uq.tflite.convert(model, **options)
    report = tf_n2uq.tflite.compare(model, content, images[:4])
    assert not [each for each in report.quantizers if each.xnnpack.differing]
    return report.xnnpack.max_difference


def test_a_softmax_behind_a_quantized_model(quantized):
    model = keras.Sequential([quantized, layers.Softmax()])
    assert differing_steps(model, images_for(quantized)) <= 1


def test_a_rescaling_in_front_of_a_quantized_model_takes_its_range_from_data(quantized):
    image = keras.Input(quantized.input_shape[1:])
    model = keras.Model(image, quantized(layers.Rescaling(1 / 255)(image)))
    images = 255 * images_for(quantized)
    with pytest.raises(ValueError, match='representative_dataset'):
        tf_n2uq.tflite.convert(model)
    content = tf_n2uq.tflite.convert(model, representative_dataset=images)
    expected = model.predict(images, verbose=0)
    got = tf_n2uq.tflite.predict(content, images)
    # The file rounds the images once more.
    assert np.abs(got - expected).mean() < 0.1 * np.ptp(expected)


def test_a_model_of_another_size_around_a_model_of_unknown_size():
    chain = [layers.Conv2D(8, 3), layers.ReLU(), layers.Conv2D(8, 3), layers.ReLU()]
    head = [layers.GlobalAveragePooling2D(), layers.Dense(3)]
    quantized = quantize(keras.Sequential([keras.Input((None, None, 3)), *chain, *head]))
    images = np.random.default_rng(0).normal(size=(8, 12, 10, 3)).astype(np.float32)
    tf_n2uq.calibrate(quantized, images, verbose=0)
    with pytest.raises(ValueError, match=r'input_shapes=\(96, 96, 3\)'):
        tf_n2uq.tflite.convert(quantized)
    x = keras.Input((12, 10, 3))
    assert differing_steps(keras.Model(x, quantized(x)), images) < 0.01


def test_features_of_a_model_fresh_from_quantize_apply():
    quantized = quantize(float_network('batch_normalized'))
    images = images_for(quantized)
    tf_n2uq.calibrate(quantized, images, verbose=0)
    features = quantized.get_layer('inner_thresholds').input
    model = keras.Model(quantized.input, features)
    assert differing_steps(model, images, representative_dataset=images) <= 1


def test_a_head_on_a_quantized_backbone():
    quantized = quantize(float_network('batch_normalized'))
    images = images_for(quantized)
    tf_n2uq.calibrate(quantized, images, verbose=0)
    pooled = [each for each in quantized.layers if 'pooling' in each.name][-1].output
    model = keras.Model(quantized.input, layers.Dense(2, name='new_head')(pooled))
    assert differing_steps(model, images, representative_dataset=images) <= 1


def test_a_model_around_a_quantized_one_is_saved_and_calibrated(quantized, tmp_path):
    model = keras.Sequential([quantized, layers.Softmax()])
    model.save(tmp_path / 'around.keras')
    loaded = keras.models.load_model(tmp_path / 'around.keras')
    images = images_for(quantized)
    np.testing.assert_array_equal(loaded(images), model(images))
    tf_n2uq.calibrate(loaded, images, verbose=0)
    assert tf_n2uq.tflite.convert(loaded) != b''
