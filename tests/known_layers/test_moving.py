import numpy as np
import pytest
import tf_keras as keras

from tests.known_layers.specs import known_spec
from tf_n2uq.layers.layer_spec import Kind, kind_of, spec_of
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
