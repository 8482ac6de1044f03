import re

import numpy as np
import pytest
import tf_keras as keras

import tf_n2uq
from tests.networks import quantize
from tf_n2uq.layers import (
    ChannelAffine,
    ChannelScale,
    SwitchableBatchNormalization,
    is_channel_line,
    line_of,
)
from tf_n2uq.layers.layer_spec import refusal_of

CHANNELS = 5
LINES = [
    keras.layers.BatchNormalization(),
    keras.layers.BatchNormalization(scale=False, center=False),
    keras.layers.Rescaling(0.5, 2.0),
    keras.layers.Rescaling([1.0, 2.0, -3.0, 4.0, 5.0], [0.0, 1.0, 2.0, 3.0, 4.0]),
    keras.layers.Normalization(mean=[1.0, 2.0, 3.0, 4.0, 5.0], variance=2.0),
    keras.layers.Normalization(axis=None, mean=3.0, variance=2.0, invert=True),
    keras.layers.Normalization(axis=3),
    ChannelAffine(),
    ChannelScale(),
]


@pytest.mark.parametrize('layer', LINES, ids=lambda layer: layer.name)
def test_slope_and_offset_are_what_the_layer_computes(layer):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, 3, 3, CHANNELS)).astype(np.float32)
    assert is_channel_line(layer)
    if isinstance(layer, keras.layers.Normalization) and layer.input_mean is None:
        layer.adapt(x)
    layer(keras.Input(x.shape[1:]))
    for variable in layer.weights:
        if variable.dtype.is_floating:
            variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    layer.finalize_state()
    slope, offset = line_of(layer)
    assert {*slope.shape, *offset.shape} <= {1, CHANNELS}
    np.testing.assert_allclose(layer(x), x * slope.numpy() + offset.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    'layer',
    [
        keras.layers.ReLU(),
        keras.layers.LayerNormalization(),
        type('Mine', (keras.layers.Rescaling,), {})(2.0),
    ],
    ids=['relu', 'layer_normalization', 'subclass'],
)
def test_other_layers_are_no_lines(layer):
    assert not is_channel_line(layer)


OTHER_AXES = [
    keras.layers.BatchNormalization(axis=1),
    keras.layers.BatchNormalization(axis=-2),
    SwitchableBatchNormalization((8, 4), axis=2),
    keras.layers.Normalization(axis=1),
    keras.layers.Normalization(axis=(2, 3)),
    keras.layers.Rescaling(np.ones((6, 1, 1)).tolist()),
    keras.layers.Rescaling(np.ones((6, 6, 6)).tolist(), 0.0),
    keras.layers.Rescaling(1.0, np.ones((6, 1)).tolist()),
]


@pytest.mark.parametrize('layer', OTHER_AXES, ids=lambda layer: layer.name)
def test_a_line_along_another_axis_is_refused_with_a_reason(layer):
    shape = (None, 6, 6, 6)
    assert not is_channel_line(layer, shape)
    assert re.search(r'axis|axes|shape', refusal_of(layer, shape))


@pytest.mark.parametrize('shape', [(None, 6), (None, 4, 6), (None, 3, 4, 6)])
def test_the_last_axis_may_be_counted_from_the_front(shape):
    layer = keras.layers.BatchNormalization(axis=len(shape) - 1)
    assert is_channel_line(layer, shape)
    assert is_channel_line(keras.layers.Normalization(axis=len(shape) - 1), shape)


@pytest.mark.parametrize('layer', OTHER_AXES, ids=lambda layer: layer.name)
def test_the_scheme_names_the_layer_and_what_to_do(layer):
    inputs = keras.Input((6, 6, 6))
    copy = type(layer).from_config({**layer.get_config(), 'name': 'odd_one'})
    x = copy(keras.layers.Conv2D(6, 3, padding='same')(inputs))
    model = keras.Model(inputs, keras.layers.Conv2D(6, 1)(x))
    with pytest.raises(ValueError, match=r"layer 'odd_one' .*layers=\{'odd_one': None\}"):
        quantize(model)


def test_a_layer_that_was_left_in_float_is_refused_by_the_export():
    inputs = keras.Input((6, 6, 3))
    x = keras.layers.Conv2D(6, 3, padding='same')(inputs)
    x = keras.layers.BatchNormalization(axis=1, name='odd_one')(x)
    x = keras.layers.Conv2D(6, 3)(x)
    model = keras.Model(inputs, keras.layers.Dense(3)(keras.layers.Flatten()(x)))
    quantized = quantize(model, layers={'odd_one': None})
    images = np.random.default_rng(0).uniform(size=(8, 6, 6, 3)).astype(np.float32)
    tf_n2uq.calibrate(quantized, images, verbose=0)
    with pytest.raises(ValueError, match=r'odd_one \(BatchNormalization\) normalizes axis'):
        tf_n2uq.tflite.convert(quantized, representative_dataset=images)
