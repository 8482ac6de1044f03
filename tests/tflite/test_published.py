"""The published networks as integer files, small."""

import numpy as np
import pytest

import tf_n2uq
from tests.networks import images_for
from tf_n2uq.layers import RPReLU


def network(name, bits, **options):
    model = tf_n2uq.models.build(
        name, bits=bits, input_shape=(32, 32, 3), classes=10, width=0.25, **options
    )
    random = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, RPReLU):
            layer.bias_in.assign(random.normal(0, 0.2, layer.bias_in.shape))
            layer.slope.assign(random.normal(0.3, 0.4, layer.slope.shape))
            layer.bias_out.assign(random.normal(0, 0.2, layer.bias_out.shape))
    return model


@pytest.mark.slow
@pytest.mark.parametrize(
    ('name', 'bits', 'options', 'kernel'),
    [
        ('resnet18', 4, {'quantize_downsample': False}, 'INT4'),
        pytest.param('resnet50', 3, {}, 'INT4', marks=pytest.mark.nightly),
        pytest.param('mobilenet_v2', 4, {}, 'INT8', marks=pytest.mark.nightly),
    ],
)
def test_a_published_network_becomes_an_integer_file(name, bits, options, kernel):
    model = network(name, bits, **options)
    images = images_for(model, 32)
    tf_n2uq.calibrate(model, images, verbose=0)
    content = tf_n2uq.tflite.convert(model, representative_dataset=images, optimize_for='size')
    inspection = tf_n2uq.tflite.inspect(content)
    assert inspection.integer_only
    assert inspection.xnnpack_partitions == 1
    types = [layer.kernel_type for layer in inspection.layers if 'conv' in layer.name]
    assert types.count(kernel) > len(types) / 2
    outputs = model.predict(images, verbose=0)
    logits = tf_n2uq.tflite.predict(content, images)
    assert np.corrcoef(logits.ravel(), outputs.ravel())[0, 1] > 0.95


@pytest.mark.slow
def test_a_network_whose_signal_fades_to_nothing_becomes_a_file_that_runs():
    # Without calibration the levels of a MobileNetV2 die out on the way.
    model = tf_n2uq.models.build('mobilenet_v2', bits=4, input_shape=(32, 32, 3), width=0.35)
    images = images_for(model, 8)
    content = tf_n2uq.tflite.convert(model, representative_dataset=images)
    assert tf_n2uq.tflite.inspect(content).integer_only
    outputs = model.predict(images, verbose=0)
    np.testing.assert_allclose(tf_n2uq.tflite.predict(content, images), outputs, atol=1e-4)
