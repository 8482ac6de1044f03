import numpy as np
import pytest
import tf_keras as keras

from tests.known_layers.specs import known_spec
from tests.known_layers.taken_apart import as_file, in_float
from tf_n2uq.layers.layer_spec import Kind, kind_of, refusal_of, spec_of
from tf_n2uq.tflite.network.form import AsInKeras

layers = keras.layers
IMAGE, SERIES = (2, 6, 4, 3), (2, 6, 3)
MOVING = [
    (layers.MaxPooling2D(2), IMAGE),
    (layers.MaxPooling2D(1, strides=2), IMAGE),
    (layers.MaxPooling1D(2), SERIES),
    (layers.GlobalMaxPooling2D(), IMAGE),
    (layers.GlobalMaxPooling1D(), SERIES),
    (layers.Flatten(), IMAGE),
    (layers.Reshape((3, 24)), IMAGE),
    (layers.Permute((3, 1, 2)), IMAGE),
    (layers.Cropping2D(1), IMAGE),
    (layers.Cropping1D(1), SERIES),
    (layers.UpSampling2D(2), IMAGE),
    (layers.UpSampling1D(2), SERIES),
]
PADDING = [(layers.ZeroPadding2D(1), IMAGE), (layers.ZeroPadding1D(1), SERIES)]


def name_of(each):
    return getattr(each, 'name', '')


@pytest.mark.parametrize(('layer', 'shape'), MOVING + PADDING, ids=name_of)
def test_they_make_no_new_numbers_at_inference(layer, shape):
    assert kind_of(layer) is Kind.SAME_SCALE
    x = np.arange(1, np.prod(shape) + 1, dtype=np.float32).reshape(shape)
    assert set(layer(x).numpy().ravel()) <= {0.0, *x.ravel()}


@pytest.mark.parametrize(('layer', 'shape'), MOVING, ids=name_of)
def test_only_padding_can_be_quantized_in_front(layer, shape):
    del shape
    assert not known_spec(layer).keeps_pixels


@pytest.mark.parametrize(('layer', 'shape'), PADDING, ids=name_of)
def test_padding_keeps_every_pixel_and_adds_zeros(layer, shape):
    assert known_spec(layer).keeps_pixels
    y = layer(np.ones(shape, np.float32)).numpy()
    assert y.sum() == np.prod(shape)
    assert y.size > np.prod(shape)


def test_windows_of_one_pixel_are_no_maximum_in_a_file():
    assert isinstance(known_spec(layers.MaxPooling2D(2)).form, AsInKeras)
    assert not isinstance(known_spec(layers.MaxPooling2D(1, strides=2)).form, AsInKeras)


def test_up_sampling_between_pixels_makes_new_numbers():
    assert kind_of(layers.UpSampling2D(2, interpolation='bilinear')) is Kind.NEW_RANGE
    assert spec_of(layers.UpSampling2D(2, interpolation='bicubic')) is None


@pytest.mark.parametrize('size', [8, (10, 9), (16, 12)])
def test_large_factors_interpolate_by_rows_and_columns(size):
    expected, got = in_float(layers.UpSampling2D(size, interpolation='bilinear'), (5, 4, 3))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('size', [3, 6, 8])
def test_the_file_interpolates_as_keras_does(size):
    layer = layers.UpSampling2D(size, interpolation='bilinear')
    exact, in_keras, in_file = as_file(layer, (6, 6, 3))
    assert np.max(np.abs(in_file - in_keras)) < 1.01
    assert np.mean(np.abs(in_file - in_keras) > 0.5) < 1e-3
    assert np.corrcoef(in_keras.ravel(), exact.ravel())[0, 1] > 0.995


def test_factors_whose_weights_do_not_fit_are_refused():
    for size in (66, 128, 129, (2, 100)):
        layer = layers.UpSampling2D(size, interpolation='bilinear')
        assert 'expected factors with weights of 8 bits' in refusal_of(layer, IMAGE)
    assert refusal_of(layers.UpSampling2D((64, 127), interpolation='bilinear'), IMAGE) is None
