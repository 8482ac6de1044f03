import numpy as np
import pytest
import tf_keras as keras

import tf_n2uq
from tf_n2uq.layers import QuantizedKernel


@pytest.mark.parametrize(
    ('name', 'convolutions'),
    [('resnet8', 9), ('resnet20', 21), ('resnet56', 57), ('resnet110', 111)],
)
def test_the_float_network_has_its_published_depth(name, convolutions):
    model = tf_n2uq.models.build(name, input_shape=(32, 32, 3), classes=10)
    found = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert len(found) == convolutions
    assert model.output_shape == (None, 10)
    assert not any(isinstance(layer, QuantizedKernel) for layer in model.layers)


@pytest.mark.parametrize(
    ('name', 'millions'), [('resnet20', 0.27), ('resnet56', 0.85), ('resnet110', 1.7)]
)
def test_resnets_for_small_images_have_the_papers_size(name, millions):
    model = tf_n2uq.models.build(name, input_shape=(32, 32, 3), classes=10)
    shortcuts = [layer for layer in model.layers if '_downsample' in layer.name]
    assert len(shortcuts) == 4
    # The paper counts without projection shortcuts.
    counted = _trainable(model) - sum(layer.count_params() for layer in shortcuts)
    assert counted / 1e6 == pytest.approx(millions, abs=0.03)


def test_half_width_has_half_the_filters():
    model = tf_n2uq.models.build('resnet20', input_shape=(28, 28, 1), classes=10, width=0.5)
    assert model.get_layer('stem').filters == 8
    assert model.get_layer('stage3_block3_conv2').filters == 32


def _trainable(model):
    """Counts as PyTorch does, where moving averages are buffers."""
    return sum(np.size(weight) for weight in model.trainable_weights)


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
    # RPReLUs are N2UQ's.
    assert _trainable(model) - sum(layer.count_params() for layer in own) == parameters


def test_mobilenet_v2_has_torchvisions_size_and_what_n2uq_adds():
    model = tf_n2uq.models.build('mobilenet_v2', input_shape=(64, 64, 3))
    own = [layer for layer in model.layers if isinstance(layer, tf_n2uq.layers.RPReLU)]
    added = sum(layer.count_params() for layer in own) + 32 * 32 + 2 * 32
    assert _trainable(model) - added == 3_504_872


@pytest.mark.parametrize(
    ('name', 'parameters', 'convolutions', 'shape_before_pooling'),
    [
        # 4.2 and 3.4 million in the papers; the same layers in PyTorch have these.
        ('mobilenet_v1', 4_231_976, 27, (None, 7, 7, 1024)),
        ('mobilenet_v2_relu', 3_504_872, 52, (None, 7, 7, 1280)),
    ],
)
def test_mobilenets_with_relus_have_the_papers_size_and_shapes(
    name, parameters, convolutions, shape_before_pooling
):
    model = tf_n2uq.models.build(name)
    assert _trainable(model) == parameters
    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    assert len([layer for layer in model.layers if isinstance(layer, kinds)]) == convolutions
    assert model.get_layer('pool').input_shape == shape_before_pooling
    assert model.output_shape == (None, 1000)
    relus = [layer for layer in model.layers if isinstance(layer, keras.layers.ReLU)]
    assert len(relus) == (27 if name == 'mobilenet_v1' else 35)
    assert all(layer.max_value is None for layer in relus)
    assert not any(isinstance(layer, tf_n2uq.layers.RPReLU) for layer in model.layers)


def test_the_first_bottleneck_expands_nothing():
    model = tf_n2uq.models.build('mobilenet_v2_relu', **IMAGENET, width=0.35)
    names = {layer.name for layer in model.layers}
    assert {'stage1_block1_depthwise', 'stage2_block1_expand', 'stage2_block2_add'} <= names
    assert 'stage1_block1_expand' not in names


@pytest.mark.parametrize('name', ['mobilenet_v1', 'mobilenet_v2_relu'])
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


def test_mobilenet_width_gives_multiples_of_eight():
    model = tf_n2uq.models.build('mobilenet_v2', **IMAGENET, width=0.35)
    filters = {x.filters for x in model.layers if type(x) is keras.layers.Conv2D}
    assert all(count % 8 == 0 for count in filters)
    assert model.get_layer('feature_0_conv1').filters == 16
    assert model.get_layer('feature_18_conv1').filters == 1280
