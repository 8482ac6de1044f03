"""Published names and layouts of a network's variables."""

import numpy as np
import pytest
import tf_keras as keras

from tf_n2uq import models
from tf_n2uq.checkpoints.entries import Part, constants_of, entries_of, published_name
from tf_n2uq.layers import RPReLU

SMALL = {'input_shape': (32, 32, 3), 'classes': 7, 'width': 0.25}


@pytest.mark.parametrize(
    ('layer', 'quantized_downsample', 'published'),
    [
        ('conv1', True, 'conv1'),
        ('fc', False, 'fc'),
        ('quant_layer1_0_conv2', True, 'layer1.0.conv2'),
        ('layer3_11_bn1', True, 'layer3.11.bn1'),
        ('layer1_0_conv1_thresholds', True, 'layer1.0.quan1'),
        ('quant_layer2_0_downsample', True, 'layer2.0.downsample.1'),
        ('quant_layer2_0_downsample', False, 'layer2.0.downsample.0'),
        ('layer2_0_downsample_bn', True, 'layer2.0.downsample.2'),
        ('layer2_0_downsample_bn', False, 'layer2.0.downsample.1'),
        ('layer2_0_downsample_thresholds', True, 'layer2.0.downsample.0'),
        ('feature_17_conv3_thresholds', True, 'feature.17.quan3'),
        ('feature_18_conv1', True, 'feature.18.conv1'),
    ],
)
def test_layers_have_the_names_of_the_published_code(layer, quantized_downsample, published):
    assert published_name(layer, quantized_downsample) == published


@pytest.fixture(scope='module')
def quantized():
    return models.build('resnet18', 2, **SMALL)


def test_every_variable_has_one_entry_with_its_part(quantized):
    entries = list(entries_of(quantized, True))
    assert len({entry.name for entry in entries}) == len(entries)
    assert {id(e.variable) for e in entries} == {id(v) for v in quantized.variables}
    parts = {entry.name: entry.part for entry in entries}
    assert parts['layer1.0.conv1.weight'] is Part.NETWORK
    assert parts['layer1.0.bn1.running_var'] is Part.NETWORK
    assert parts['layer1.0.prelu1.weight'] is Part.RPRELU
    assert parts['layer1.0.bias12.bias'] is Part.RPRELU
    assert parts['layer1.0.quan1.scale1'] is Part.QUANTIZER


def test_kernels_are_turned_to_pytorchs_axes_and_back():
    model = keras.Sequential(
        [
            keras.layers.Conv2D(5, (2, 3), input_shape=(8, 8, 4), name='conv1'),
            keras.layers.DepthwiseConv2D((3, 2), name='conv2'),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(7, name='fc'),
        ]
    )
    entries = {entry.name: entry for entry in entries_of(model, False)}
    shapes = {name: entry.shape for name, entry in entries.items() if name.endswith('weight')}
    # Convolution: [out, in, h, w]; depthwise: [channels, 1, h, w]; dense: [out, in].
    assert shapes == {
        'conv1.weight': (5, 4, 2, 3),
        'conv2.weight': (5, 1, 3, 2),
        'fc.weight': (7, 5),
    }
    for entry in entries.values():
        value = np.random.default_rng(0).standard_normal(entry.shape)
        there = entry.to_keras(value)
        assert there.shape == tuple(entry.variable.shape)
        np.testing.assert_array_equal(entry.to_published(there), value)
    kernel = np.arange(5 * 4 * 2 * 3).reshape(5, 4, 2, 3)
    assert entries['conv1.weight'].to_keras(kernel)[1, 2, 3, 4] == kernel[4, 3, 1, 2]


def test_constants_stand_beside_quantizers_and_normalizations(quantized):
    constants = constants_of(quantized, True)
    assert constants['bn1.num_batches_tracked'].shape == ()
    np.testing.assert_array_equal(constants['layer1.0.quan1.two'], [2.0])
    np.testing.assert_array_equal(constants['layer1.0.conv1.clip_val'], [2.0])
    assert 'conv1.clip_val' not in constants
    assert not set(constants) & {entry.name for entry in entries_of(quantized, True)}


def test_layers_and_rprelus_without_a_published_name_are_refused():
    own = keras.Sequential([keras.layers.LayerNormalization(name='own', input_shape=(4,))])
    with pytest.raises(ValueError, match="model: expected a network .* the layer 'own'"):
        list(entries_of(own, False))
    named = keras.Sequential([RPReLU(name='mine', input_shape=(2, 2, 4))])
    with pytest.raises(ValueError, match="model: expected an RPReLU named .* got 'mine'"):
        list(entries_of(named, False))
