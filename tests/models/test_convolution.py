"""Convolutions are padded and normalized as by PyTorch."""

import numpy as np
import pytest
import tf_keras as keras
import torch

from tf_n2uq.models.convolution import convolution, depthwise_convolution


def outputs_of(build, images):
    x = keras.Input(images.shape[1:])
    model = keras.Model(x, build(x))
    return model, model(images).numpy()


def images(side):
    return np.random.default_rng(0).standard_normal((2, side, side, 4)).astype(np.float32)


def in_pytorch(values, kernel, stride, groups):
    kernel = torch.from_numpy(np.ascontiguousarray(kernel))
    x = torch.from_numpy(np.ascontiguousarray(values.transpose(0, 3, 1, 2)))
    padding = kernel.shape[-1] // 2
    y = torch.nn.functional.conv2d(x, kernel, stride=stride, padding=padding, groups=groups)
    return y.numpy().transpose(0, 2, 3, 1) / np.sqrt(1 + 1e-5)


@pytest.mark.parametrize('side', [8, 9])
@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize('size', [1, 3, 7])
def test_a_convolution_gives_what_pytorchs_gives(side, stride, size):
    values = images(side)
    model, found = outputs_of(lambda x: convolution(x, 6, size, stride, 'conv', 'bn'), values)
    kernel = model.get_layer('conv').kernel.numpy().transpose(3, 2, 0, 1)
    np.testing.assert_allclose(found, in_pytorch(values, kernel, stride, 1), atol=1e-5)
    assert found.shape == (2, -(-side // stride), -(-side // stride), 6)


@pytest.mark.parametrize('side', [8, 9])
@pytest.mark.parametrize('stride', [1, 2])
def test_a_depthwise_convolution_gives_what_pytorchs_gives(side, stride):
    values = images(side)
    model, found = outputs_of(lambda x: depthwise_convolution(x, 3, stride, 'conv', 'bn'), values)
    kernel = model.get_layer('conv').depthwise_kernel.numpy().transpose(2, 3, 0, 1)
    np.testing.assert_allclose(found, in_pytorch(values, kernel, stride, 4), atol=1e-5)


def test_moving_averages_move_as_pytorchs():
    x = keras.Input((8, 8, 4))
    model = keras.Model(x, convolution(x, 6, 3, 1, 'conv', 'bn'))
    normalization = model.get_layer('bn')
    before = normalization.moving_mean.numpy()
    values = images(8)
    model(values, training=True)
    mean = model.get_layer('conv')(values).numpy().mean((0, 1, 2))
    # PyTorch's momentum of 0.1 is the weight of the new value.
    expected = 0.9 * before + 0.1 * mean
    np.testing.assert_allclose(normalization.moving_mean, expected, atol=1e-6)


def test_there_is_a_padding_layer_only_where_same_padding_is_not_symmetric():
    x = keras.Input((8, 8, 4))
    y = convolution(x, 6, 3, 2, 'strided', 'bn1')
    y = convolution(y, 6, 3, 1, 'plain', 'bn2')
    model = keras.Model(x, convolution(y, 6, 1, 2, 'pointwise', 'bn3'))
    names = [layer.name for layer in model.layers]
    assert [name for name in names if name.endswith('_padding')] == ['strided_padding']
    assert not any(layer.use_bias for layer in model.layers if hasattr(layer, 'use_bias'))
