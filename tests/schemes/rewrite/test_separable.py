import numpy as np
import pytest
import tf_keras as keras

from tf_n2uq.schemes.rewrite.separable import as_depthwise, separable_parts

layers = keras.layers


def built(layer, shape):
    """A layer of random weights, and numbers for it."""
    layer.build((None, *shape))
    rng = np.random.default_rng(0)
    layer.set_weights([rng.normal(size=weight.shape) for weight in layer.get_weights()])
    return layer, rng.normal(size=(2, *shape)).astype(np.float32)


@pytest.mark.parametrize(
    ('layer', 'shape'),
    [
        (layers.SeparableConv2D(5, 3, strides=2, padding='same', depth_multiplier=2), (7, 7, 3)),
        (layers.SeparableConv2D(5, 3, dilation_rate=2, use_bias=False), (7, 7, 3)),
        (layers.SeparableConv1D(5, 3, padding='same'), (9, 3)),
    ],
    ids=['strides', 'dilation', 'series'],
)
def test_two_layers_compute_what_a_separable_convolution_does(layer, shape):
    layer, x = built(layer, shape)
    parts = separable_parts(layer)
    assert parts is not None
    depthwise, pointwise = parts
    assert [part.name for part in parts] == [f'{layer.name}_depthwise', f'{layer.name}_pointwise']
    first, *others = layer.get_weights()
    pointwise(depthwise(x))
    depthwise.set_weights([first])
    pointwise.set_weights(others)
    np.testing.assert_allclose(pointwise(depthwise(x)), layer(x), rtol=1e-4, atol=1e-5)


def test_what_training_has_to_know_goes_to_the_part_with_the_weight():
    regularizers = {name: keras.regularizers.L2(0.1) for name in ('depthwise', 'pointwise', 'bias')}
    layer = layers.SeparableConv2D(
        5,
        3,
        trainable=False,
        **{f'{name}_regularizer': each for name, each in regularizers.items()},
    )
    parts = separable_parts(layer)
    assert parts is not None
    depthwise, pointwise = parts
    assert depthwise.depthwise_regularizer is regularizers['depthwise']
    assert pointwise.kernel_regularizer is regularizers['pointwise']
    assert pointwise.bias_regularizer is regularizers['bias']
    assert not depthwise.trainable
    assert not pointwise.trainable


@pytest.mark.parametrize('multiplier', [1, 2])
def test_a_convolution_of_a_group_per_channel_is_a_depthwise_one(multiplier):
    layer = layers.Conv2D(4 * multiplier, 3, strides=2, groups=4, padding='same', name='grouped')
    layer, x = built(layer, (7, 7, 4))
    kernel, bias = layer.get_weights()
    found = as_depthwise(layer, kernel)
    assert found is not None
    depthwise, own = found
    assert depthwise.name == 'grouped'
    depthwise(x)
    depthwise.set_weights([own, bias])
    np.testing.assert_allclose(depthwise(x), layer(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    'layer',
    [layers.Conv2D(4, 3), layers.Conv2D(4, 3, groups=2), layers.DepthwiseConv2D(3)],
    ids=lambda layer: layer.name,
)
def test_other_layers_stay(layer):
    layer, _ = built(layer, (7, 7, 4))
    assert separable_parts(layer) is None
    assert as_depthwise(layer, layer.get_weights()[0]) is None
