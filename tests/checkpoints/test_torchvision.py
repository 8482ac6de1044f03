"""torchvision's entries of MobileNetV2 get N2UQ's names."""

import numpy as np
import pytest

from tf_n2uq.checkpoints.torchvision import from_torchvision

FIRST = {'features.0.0.weight': np.zeros((6, 3, 3, 3), np.float32)}


@pytest.mark.parametrize(
    ('theirs', 'ours'),
    [
        ('features.0.0.weight', 'feature.0.conv1.weight'),
        ('features.0.1.running_mean', 'feature.0.bn1.running_mean'),
        ('features.1.conv.0.0.weight', 'feature.1.conv2.weight'),
        ('features.1.conv.0.1.bias', 'feature.1.bn2.bias'),
        ('features.1.conv.1.weight', 'feature.1.conv3.weight'),
        ('features.1.conv.2.weight', 'feature.1.bn3.weight'),
        ('features.5.conv.0.0.weight', 'feature.5.conv1.weight'),
        ('features.5.conv.1.1.running_var', 'feature.5.bn2.running_var'),
        ('features.17.conv.2.weight', 'feature.17.conv3.weight'),
        ('features.17.conv.3.weight', 'feature.17.bn3.weight'),
        ('features.18.0.weight', 'feature.18.conv1.weight'),
        ('classifier.1.bias', 'fc.bias'),
        ('classifier.7.bias', 'classifier.7.bias'),
        ('features.5.conv.9.weight', 'features.5.conv.9.weight'),
    ],
)
def test_each_entry_has_its_name(theirs, ours):
    value = np.ones((6, 2), np.float32)
    renamed = from_torchvision({**FIRST, theirs: value})
    assert renamed[ours] is value


def test_the_convolution_that_torchvision_lacks_is_the_identity():
    renamed = from_torchvision(FIRST)
    kernel = renamed['feature.1.conv1.weight'][:, :, 0, 0]
    np.testing.assert_array_equal(kernel, np.eye(6))
    x = np.linspace(-2, 2, 6)
    variance = renamed['feature.1.bn1.running_var'] + 1e-5
    normalized = (kernel @ x - renamed['feature.1.bn1.running_mean']) / np.sqrt(variance)
    outputs = renamed['feature.1.bn1.weight'] * normalized + renamed['feature.1.bn1.bias']
    np.testing.assert_allclose(outputs, x, rtol=1e-6)


def test_other_state_dicts_stay_as_they_are():
    resnet = {'conv1.weight': np.zeros(1), 'layer1.0.conv1.weight': np.zeros(2)}
    assert from_torchvision(resnet) == resnet


def test_a_kernel_without_axes_is_left_to_the_check_of_shapes():
    renamed = from_torchvision({'features.0.0.weight': np.float32(1)})
    assert renamed == {'feature.0.conv1.weight': 1.0}
