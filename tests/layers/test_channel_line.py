import numpy as np
import pytest
import tf_keras as keras

from tf_n2uq.layers import ChannelAffine, ChannelScale, is_channel_line, line_of

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
    assert slope.shape == offset.shape == (CHANNELS,)
    np.testing.assert_allclose(layer(x), x * slope.numpy() + offset.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    'layer',
    [
        keras.layers.ReLU(),
        keras.layers.LayerNormalization(),
        keras.layers.Normalization(axis=1),
        type('Mine', (keras.layers.Rescaling,), {})(2.0),
    ],
    ids=['relu', 'layer_normalization', 'other_axis', 'subclass'],
)
def test_other_layers_are_no_lines(layer):
    assert not is_channel_line(layer)
