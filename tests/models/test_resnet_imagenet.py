"""ResNets for ImageNet as N2UQ publishes them."""

import numpy as np
import pytest
import tf_keras as keras

from tests.models.counting import of_kind, trainable
from tf_n2uq.layers import RPReLU
from tf_n2uq.models.resnet_imagenet import DEPTHS, imagenet_resnet


@pytest.mark.parametrize(
    ('depth', 'convolutions', 'parameters'),
    [(18, 20, 11_689_512), (34, 36, 21_797_672), (50, 53, 25_557_032)],
)
def test_they_have_torchvisions_size_and_the_rprelus(depth, convolutions, parameters):
    model = imagenet_resnet(depth, 1.0, (64, 64, 3), 1000, 'network')
    assert len(of_kind(model, keras.layers.Conv2D)) == convolutions
    rprelus = sum(layer.count_params() for layer in of_kind(model, RPReLU))
    assert trainable(model) - rprelus == parameters


@pytest.mark.parametrize(('depth', 'blocks'), [(18, 8), (50, 16), (101, 33), (152, 50)])
def test_every_block_adds_its_shortcut(depth, blocks):
    assert depth in DEPTHS
    model = imagenet_resnet(depth, 0.0625, (32, 32, 3), 10, 'network')
    assert len(of_kind(model, keras.layers.Add)) == blocks
    assert (model.name, model.output_shape) == ('network', (None, 10))


def test_shortcuts_are_convolutions_only_where_shapes_change():
    shallow = imagenet_resnet(18, 0.0625, (32, 32, 3), 10, 'network')
    deep = imagenet_resnet(50, 0.0625, (32, 32, 3), 10, 'network')
    names = [f'layer{stage}_0_downsample' for stage in (1, 2, 3, 4)]
    for model, expected in ((shallow, names[1:]), (deep, names)):
        found = [layer.name for layer in of_kind(model, keras.layers.Conv2D)]
        assert [name for name in found if name.endswith('_downsample')] == expected


def test_the_stride_of_a_bottleneck_is_in_its_3x3_convolution():
    model = imagenet_resnet(50, 0.0625, (32, 32, 3), 10, 'network')
    strides = [model.get_layer(f'layer2_0_conv{number}').strides for number in (1, 2, 3)]
    assert strides == [(1, 1), (2, 2), (1, 1)]


def test_the_first_pooling_is_that_of_pytorch():
    model = imagenet_resnet(18, 0.0625, (32, 32, 3), 10, 'network')
    relu, pool = model.get_layer('relu'), model.get_layer('maxpool')
    values = np.random.default_rng(0).uniform(0, 1, (1, *relu.output_shape[1:]))
    padded = np.pad(values, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))[:, ::2, ::2]
    part = keras.Model(model.get_layer('maxpool_padding').input, pool.output)
    np.testing.assert_allclose(part(values), windows.max((-1, -2)), rtol=1e-6)
