import numpy as np
import pytest
import tensorflow as tf
import tf_keras as keras

from tf_n2uq import checkpoints, models
from tf_n2uq.layers import RPReLU

SMALL = {'input_shape': (32, 32, 3), 'classes': 7, 'width': 0.25}


def small(name, bits=None, quantize_downsample=True):
    return models.build(name, bits, quantize_downsample, **SMALL)


def randomized(model):
    generator = np.random.default_rng(0)
    for variable in model.variables:
        values = generator.uniform(0.5, 1.5, variable.shape)
        variable.assign(np.asarray(values, np.float32))
    return model


def weights_of(model):
    return [variable.numpy() for variable in model.variables]


@pytest.fixture(scope='module')
def quantized():
    """Built once: tests give it the values that they need."""
    return small('resnet18', 2)


@pytest.mark.parametrize(
    ('name', 'bits', 'downsample'),
    [
        ('resnet18', 2, True),
        ('resnet18', 4, False),
        ('resnet50', None, True),
        pytest.param('mobilenet_v2', 4, True, marks=pytest.mark.nightly),
    ],
)
def test_what_is_saved_loads(name, bits, downsample):
    model = randomized(small(name, bits, downsample))
    saved, expected = checkpoints.save_state_dict(model), weights_of(model)
    for variable in model.variables:
        variable.assign(tf.zeros_like(variable))
    report = checkpoints.load_state_dict(model, saved)
    for got, want in zip(weights_of(model), expected, strict=True):
        np.testing.assert_array_equal(got, want)
    assert report.missing == report.unknown == report.misshapen == ()
    assert not report.relu


def test_the_prefix_of_parallel_training_is_passed_over(quantized):
    saved = checkpoints.save_state_dict(randomized(quantized))
    mapping = {f'module.{n}': v + np.ones_like(v) for n, v in saved.items()}
    checkpoints.load_state_dict(quantized, mapping)
    np.testing.assert_array_equal(quantized.get_layer('bn1').gamma, saved['bn1.weight'] + 1)


def test_a_name_with_and_without_the_prefix_is_refused():
    model = small('resnet18')
    mapping = checkpoints.save_state_dict(model)
    mapping['module.fc.bias'] = mapping['fc.bias']
    with pytest.raises(ValueError, match=r"mapping: expected each name once, got \['fc.bias'\]"):
        checkpoints.load_state_dict(model, mapping)


def without_rprelus(mapping):
    return {
        name: value
        for name, value in mapping.items()
        if 'prelu' not in name and not any(f'bias{i}{j}' in name for i in range(4) for j in (1, 2))
    }


@pytest.mark.parametrize('bits', [None, 2])
def test_a_float_state_dict_makes_relus_and_leaves_quantizers_alone(bits, quantized):
    float_network = randomized(small('resnet18'))
    mapping = without_rprelus(checkpoints.save_state_dict(float_network))
    target = float_network if bits is None else quantized
    before = {v.name: v.numpy() for v in target.variables}
    report = checkpoints.load_state_dict(target, mapping)
    assert report.relu
    assert report.uncalibrated == (bits is not None)
    for layer in target.layers:
        if isinstance(layer, RPReLU):
            np.testing.assert_array_equal(
                layer(tf.constant([[[[-2.0] * layer.slope.shape[0]]]])), 0
            )
    for variable in target.variables:
        if '_thresholds' in variable.name:
            np.testing.assert_array_equal(variable, before[variable.name])
    np.testing.assert_array_equal(target.get_layer('fc').kernel.numpy().T, mapping['fc.weight'])


def test_all_entries_that_do_not_fit_are_listed_and_nothing_is_loaded(quantized):
    mapping = checkpoints.save_state_dict(randomized(quantized))
    del mapping['bn1.weight'], mapping['layer1.0.quan1.a']
    mapping['fc.weight'] = mapping['fc.weight'][:, 1:]
    mapping['conv1.weight'] = mapping['conv1.weight'] * np.nan
    mapping['layer9.0.conv1.weight'] = np.zeros(3)
    mapping['bn1.bias'] = mapping['bn1.bias'] + 1
    before = weights_of(quantized)
    with pytest.raises(ValueError, match='mapping: expected the state dict') as raised:
        checkpoints.load_state_dict(quantized, mapping)
    text = str(raised.value)
    for line in (
        '2 missing:\n  bn1.weight\n  layer1.0.quan1.a',
        '1 unknown:\n  layer9.0.conv1.weight',
        'fc.weight: expected shape [7, 128], got [7, 127]',
        'conv1.weight: expected finite values',
    ):
        assert line in text
    for ours, old in zip(weights_of(quantized), before, strict=True):
        np.testing.assert_array_equal(ours, old)


def test_not_strict_loads_the_rest_and_reports(quantized):
    mapping = checkpoints.save_state_dict(randomized(quantized))
    gamma = mapping.pop('bn1.weight')
    mapping['bn1.bias'] = mapping['bn1.bias'] + 1
    mapping['other'] = np.zeros(1)
    report = checkpoints.load_state_dict(quantized, mapping, strict=False)
    assert report.missing == ('bn1.weight',)
    assert report.unknown == ('other',)
    assert 'bn1.weight' in str(report)
    np.testing.assert_array_equal(quantized.get_layer('bn1').gamma, gamma)
    np.testing.assert_array_equal(quantized.get_layer('bn1').beta, mapping['bn1.bias'])


def test_a_network_without_published_names_is_refused():
    model = keras.Sequential([keras.layers.Conv1D(2, 3, input_shape=(8, 1), name='own')])
    with pytest.raises(ValueError, match="model: expected a network of .*'own'"):
        checkpoints.save_state_dict(model)


def test_a_list_instead_of_a_dict_is_named():
    with pytest.raises(TypeError, match='mapping: expected a dict'):
        checkpoints.load_state_dict(small('resnet18'), [np.zeros(1)])


def torchvision_mobilenet(width_of):
    """torchvision's names of MobileNetV2 with arrays of our shapes."""
    renamed = {}
    for name, value in width_of.items():
        block, _, rest = name.partition('.')[2].partition('.')
        if name.startswith('fc.'):
            renamed[f'classifier.1.{rest or block}'] = value
        elif block in ('0', '18'):
            part, leaf = rest.split('.')
            renamed[f'features.{block}.{"01"[part == "bn1"]}.{leaf}'] = value
        else:
            part, leaf = rest.split('.')
            places = {
                'conv1': '0.0',
                'bn1': '0.1',
                'conv2': '1.0',
                'bn2': '1.1',
                'conv3': '2',
                'bn3': '3',
            }
            if block == '1':
                places = {'conv2': '0.0', 'bn2': '0.1', 'conv3': '1', 'bn3': '2'}
            if part in places:
                renamed[f'features.{block}.conv.{places[part]}.{leaf}'] = value
    return renamed


@pytest.mark.nightly
def test_torchvisions_mobilenet_goes_in_with_an_identity_where_it_has_nothing():
    source, target = randomized(small('mobilenet_v2')), small('mobilenet_v2', 4)
    mapping = torchvision_mobilenet(without_rprelus(checkpoints.save_state_dict(source)))
    report = checkpoints.load_state_dict(target, mapping)
    assert report.relu
    assert report.uncalibrated
    kernel = target.get_layer('quant_feature_1_conv1').layer.kernel
    np.testing.assert_array_equal(kernel[0, 0], np.eye(kernel.shape[-1]))
    normalized = target.get_layer('feature_1_bn1')(tf.ones([1, 1, 1, kernel.shape[-1]]))
    np.testing.assert_allclose(normalized, 1, rtol=1e-6)
    np.testing.assert_array_equal(
        target.get_layer('quant_feature_2_conv3').layer.kernel,
        source.get_layer('feature_2_conv3').kernel,
    )
