"""Networks by their names: what is built, quantized and refused."""

import numpy as np
import pytest
import tf_keras as keras

import tf_n2uq
from tf_n2uq.layers import Quantize, QuantizedKernel


@pytest.mark.parametrize(
    'name',
    [
        *(f'resnet{depth}' for depth in (8, 18, 20, 34, 50, 56, 101, 110, 152)),
        'mobilenet_v1',
        'mobilenet_v2',
        'mobilenet_v2_relu',
    ],
)
def test_every_name_is_a_float_network_of_that_name(name):
    model = tf_n2uq.models.build(name, input_shape=(32, 32, 3), classes=5, width=0.0625)
    assert (model.name, model.output_shape) == (name, (None, 5))
    assert not any(isinstance(layer, (Quantize, QuantizedKernel)) for layer in model.layers)


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
        ({'name': 'resnet8', 'input_shape': (8, 8, 0)}, 'input_shape: expected .*> 0'),
        ({'name': 'resnet8', 'input_shape': (8, 8.5, 1)}, 'input_shape: .*8.5'),
        ({'name': 'resnet8', 'input_shape': 8}, 'input_shape: .* got 8'),
        ({'name': 'resnet8', 'classes': 0}, 'classes: .* got 0'),
        ({'name': 'resnet8', 'classes': 2.5}, 'classes: .* got 2.5'),
        ({'name': 'resnet8', 'classes': True}, 'classes: .* got True'),
        ({'name': 'resnet8', 'width': 0}, 'width: .* got 0'),
        ({'name': 'resnet8', 'width': float('inf')}, 'width: .* got inf'),
        ({'name': 'resnet8', 'width': '1'}, "width: .* got '1'"),
        ({'name': 'resnet8', 'bits': 9, 'input_shape': (8, 8, 1)}, 'bits'),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        tf_n2uq.models.build(**arguments)


IMAGENET = {'input_shape': (64, 64, 3), 'classes': 10}


@pytest.mark.parametrize(
    'name', ['mobilenet_v1', pytest.param('mobilenet_v2_relu', marks=pytest.mark.nightly)]
)
def test_mobilenets_with_relus_become_integer_files_at_4_bits(name):
    keras.utils.set_random_seed(0)
    model = tf_n2uq.models.build(name, 4, input_shape=(32, 32, 3), classes=10, width=0.25)
    kernels = [layer for layer in model.layers if isinstance(layer, QuantizedKernel)]
    assert len(kernels) == (28 if name == 'mobilenet_v1' else 53)
    images = np.random.default_rng(0).uniform(0, 1, (4, 32, 32, 3)).astype(np.float32)
    tf_n2uq.calibrate(model, images)
    content = tf_n2uq.tflite.convert(model, representative_dataset=images)
    assert tf_n2uq.tflite.inspect(content).integer_only


def test_resnet56_is_quantized_to_4_bits():
    model = tf_n2uq.models.build('resnet56', 4, input_shape=(16, 16, 3), classes=10, width=0.25)
    assert isinstance(model.get_layer('quant_stage3_block9_conv2'), QuantizedKernel)


def test_published_networks_keep_their_ends_and_tensors_in_float():
    model = tf_n2uq.models.build('mobilenet_v2', 4, **IMAGENET, width=0.35)
    names = {layer.name for layer in model.layers}
    assert {'feature_0_conv1', 'fc', 'quant_feature_18_conv1'} <= names
    assert not any(name.endswith('_range') for name in names)
    clipped = model.get_layer('feature_18_conv1_thresholds').quantizer
    assert clipped == tf_n2uq.quantizers.PACTQuantizer(4)
