"""MobileNetV2 as N2UQ publishes it."""

import numpy as np
import pytest
import tf_keras as keras

from tests.models.counting import of_kind, trainable
from tf_n2uq.layers import RPReLU
from tf_n2uq.models.mobilenet_v2 import CLIPPED, filters_of_width, mobilenet_v2


def test_it_has_torchvisions_size_and_what_n2uq_adds():
    model = mobilenet_v2(1.0, (64, 64, 3), 1000, 'network')
    rprelus = sum(layer.count_params() for layer in of_kind(model, RPReLU))
    # N2UQ adds a 1×1 convolution of 32 channels with its normalization, too.
    assert trainable(model) - rprelus - 32 * 32 - 2 * 32 == 3_504_872


def test_width_gives_multiples_of_eight_and_a_last_convolution_of_full_width():
    model = mobilenet_v2(0.35, (64, 64, 3), 10, 'network')
    filters = {layer.filters for layer in model.layers if type(layer) is keras.layers.Conv2D}
    assert all(count % 8 == 0 for count in filters)
    assert model.get_layer('feature_0_conv1').filters == 16
    assert model.get_layer(CLIPPED).filters == 1280


@pytest.mark.parametrize(
    ('filters', 'width', 'expected'),
    [(32, 1.0, 32), (32, 0.35, 16), (24, 0.75, 24), (24, 0.5, 16), (16, 0.1, 8), (320, 1.4, 448)],
)
def test_filters_are_multiples_of_eight_and_not_much_fewer(filters, width, expected):
    assert filters_of_width(filters, width) == expected
    assert filters_of_width(filters, width) >= 0.9 * filters * width


def test_blocks_of_one_shape_add_their_input():
    model = mobilenet_v2(0.35, (32, 32, 3), 10, 'network')
    sums = [layer.name for layer in of_kind(model, keras.layers.Add)]
    # The second, third and fourth blocks of each stage.
    numbers = (3, 5, 6, 8, 9, 10, 12, 13, 15, 16)
    assert sums == [f'feature_{number}_add' for number in numbers]
    block = keras.Model(
        model.get_layer('feature_3_rprelu1').input, model.get_layer('feature_3_add').output
    )
    model.get_layer('feature_3_bn3').gamma.assign(
        np.zeros_like(model.get_layer('feature_3_bn3').gamma)
    )
    values = np.random.default_rng(0).standard_normal((1, *block.input_shape[1:]))
    np.testing.assert_allclose(block(values), values, rtol=1e-6)


def test_an_rprelu_stands_in_front_of_every_convolution_of_a_bottleneck():
    model = mobilenet_v2(0.35, (32, 32, 3), 10, 'network')
    assert len(of_kind(model, RPReLU)) == 3 * 17
    bounded = [layer.name for layer in of_kind(model, keras.layers.ReLU)]
    assert bounded == ['feature_0_relu6', 'feature_18_relu6']
