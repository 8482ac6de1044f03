import numpy as np
import pytest
import tf_keras as keras

from tests.known_layers.taken_apart import as_file, in_float
from tests.networks import quantize
from tf_n2uq.layers.resize_axis import ResizeAxis

Resizing = keras.layers.Resizing
SIZES = [(12, 16), (6, 8), (3, 8), (2, 4), (5, 7), (9, 20), (1, 1), (6, 24)]


@pytest.mark.parametrize('size', SIZES)
def test_the_nearest_pixels_are_those_that_keras_takes(size):
    expected, got = in_float(Resizing(*size, interpolation='nearest'), (6, 8, 3))
    np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize('size', SIZES)
def test_bilinear_weights_are_exact_to_half_a_127th_per_axis(size):
    expected, got = in_float(Resizing(*size), (6, 8, 3))
    np.testing.assert_allclose(got, expected, atol=2 * 0.5 / 127 * 7)
    assert np.corrcoef(got.ravel(), expected.ravel())[0, 1] > 0.9999


@pytest.mark.parametrize('size', [(16, 24), (5, 11)])
@pytest.mark.parametrize('interpolation', ['nearest', 'bilinear'])
def test_the_file_computes_what_keras_does(size, interpolation):
    layer = Resizing(*size, interpolation=interpolation)
    exact, in_keras, in_file = as_file(lambda x: layer(x), (8, 8, 3))
    assert np.max(np.abs(in_file - in_keras)) < 1.01
    assert np.mean(np.abs(in_file - in_keras) > 0.5) < 1e-3
    assert np.corrcoef(in_keras.ravel(), exact.ravel())[0, 1] > 0.995


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'interpolation': 'bicubic'}, r"interpolation='bicubic'; expected one of 'nearest'"),
        ({'crop_to_aspect_ratio': True}, r'crops images of 6×6 to the aspect ratio of 4×8'),
    ],
)
def test_other_ways_of_resizing_are_refused(options, message):
    inputs = keras.Input((6, 6, 3))
    x = Resizing(4, 8, name='odd_one', **options)(inputs)
    with pytest.raises(ValueError, match=f"layer 'odd_one' .*{message}"):
        quantize(keras.Model(inputs, keras.layers.Conv2D(2, 1)(x)))


def test_a_constant_image_stays_constant():
    layer = ResizeAxis(1, [0, 0, 1, 1], [0, 40, 100, 127])
    assert layer.matrix(3).sum(axis=0).tolist() == [127] * 4
    np.testing.assert_allclose(layer(np.ones((1, 3, 2, 1), np.float32)), 1)


def test_the_matrix_layer_is_what_its_config_says():
    layer = ResizeAxis(2, [0, 1], [64, 0])
    copy = ResizeAxis.from_config(layer.get_config())
    np.testing.assert_array_equal(copy.matrix(2), layer.matrix(2))
    with pytest.raises(ValueError, match='expected axis 1 or 2 and as many parts as sources'):
        ResizeAxis(3, [0], [0])
