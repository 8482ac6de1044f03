import numpy as np
import pytest
import tf_keras as keras

import tf_n2uq
from tf_n2uq.layers import QuantizedKernel


@pytest.mark.parametrize(('name', 'convolutions'), [('resnet8', 9), ('resnet20', 21)])
def test_the_float_network_has_its_published_depth(name, convolutions):
    model = tf_n2uq.models.build(name, input_shape=(32, 32, 3), classes=10)
    found = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert len(found) == convolutions
    assert model.output_shape == (None, 10)
    assert not any(isinstance(layer, QuantizedKernel) for layer in model.layers)


def test_resnet20_has_the_papers_size():
    model = tf_n2uq.models.build('resnet20', input_shape=(32, 32, 3), classes=10)
    # 0.27 million in the paper, without its two projection shortcuts.
    assert 0.265e6 < model.count_params() < 0.280e6


def test_half_width_has_half_the_filters():
    model = tf_n2uq.models.build('resnet20', input_shape=(28, 28, 1), classes=10, width=0.5)
    assert model.get_layer('stem').filters == 8
    assert model.get_layer('stage3_block3_conv2').filters == 32


@pytest.mark.parametrize('quantize_downsample', [True, False])
def test_bits_quantize_all_but_perhaps_the_shortcuts(quantize_downsample):
    model = tf_n2uq.models.build(
        'resnet8', 2, quantize_downsample, input_shape=(8, 8, 1), classes=10
    )
    wrapped = {layer.name for layer in model.layers if isinstance(layer, QuantizedKernel)}
    assert 'quant_stage2_block1_conv1' in wrapped
    assert ('quant_stage2_block1_downsample' in wrapped) == quantize_downsample


def test_equal_seeds_give_equal_networks():
    weights = []
    for _ in range(2):
        keras.utils.set_random_seed(3)
        weights.append(tf_n2uq.models.build('resnet8', input_shape=(8, 8, 1)).get_weights())
    for first, second in zip(*weights, strict=True):
        np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'name': 'resnet21'}, r"name: expected one of .*resnet20.*'resnet21'"),
        ({'name': 'resnet8', 'input_shape': (8, 8)}, 'input_shape'),
        ({'name': 'resnet8', 'classes': 0}, 'classes'),
        ({'name': 'resnet8', 'width': 0}, 'width'),
        ({'name': 'resnet8', 'bits': 9, 'input_shape': (8, 8, 1)}, 'bits'),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        tf_n2uq.models.build(**arguments)


IMAGENET = {'input_shape': (64, 64, 3), 'classes': 10}


@pytest.mark.parametrize(
    ('name', 'convolutions', 'parameters'),
    [
        ('resnet18', 20, 11_689_512),
        ('resnet34', 36, 21_797_672),
        ('resnet50', 53, 25_557_032),
    ],
)
def test_resnets_have_torchvisions_size_and_the_rprelus(name, convolutions, parameters):
    model = tf_n2uq.models.build(name, input_shape=(64, 64, 3))
    found = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert len(found) == convolutions
    own = [layer for layer in model.layers if isinstance(layer, tf_n2uq.layers.RPReLU)]
    # Moving averages are buffers in PyTorch, and RPReLUs are N2UQ's.
    counted = sum(np.size(w) for w in model.trainable_weights)
    assert counted - sum(layer.count_params() for layer in own) == parameters


def test_mobilenet_v2_has_torchvisions_size_and_what_n2uq_adds():
    model = tf_n2uq.models.build('mobilenet_v2', input_shape=(64, 64, 3))
    own = [layer for layer in model.layers if isinstance(layer, tf_n2uq.layers.RPReLU)]
    added = sum(layer.count_params() for layer in own) + 32 * 32 + 2 * 32
    assert sum(np.size(w) for w in model.trainable_weights) - added == 3_504_872


def test_published_networks_keep_their_ends_and_tensors_in_float():
    model = tf_n2uq.models.build('mobilenet_v2', 4, **IMAGENET, width=0.35)
    names = {layer.name for layer in model.layers}
    assert {'feature_0_conv1', 'fc', 'quant_feature_18_conv1'} <= names
    assert not any(name.endswith('_range') for name in names)
    clipped = model.get_layer('feature_18_conv1_thresholds').quantizer
    assert clipped == tf_n2uq.quantizers.PACTQuantizer(4)


def test_mobilenet_width_gives_multiples_of_eight():
    model = tf_n2uq.models.build('mobilenet_v2', **IMAGENET, width=0.35)
    filters = {x.filters for x in model.layers if type(x) is keras.layers.Conv2D}
    assert all(count % 8 == 0 for count in filters)
    assert model.get_layer('feature_0_conv1').filters == 16
    assert model.get_layer('feature_18_conv1').filters == 1280
