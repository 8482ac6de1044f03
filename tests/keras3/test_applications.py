"""Every classification network of `keras.applications` comes over from Keras 3."""

from __future__ import annotations

import numpy as np
import pytest

import tf_n2uq
from tests.keras3.keras3_models import APPLICATIONS, SIZES, application

# These networks scale images of 0 to 255 themselves.
SCALING = ('ConvNeXt', 'EfficientNet', 'MobileNetV3')
BY_DEFAULT = ('EfficientNetV2B0', 'MobileNet', 'MobileNetV3Small', 'ConvNeXtTiny')


@pytest.mark.parametrize(
    'name',
    [
        name if name in BY_DEFAULT else pytest.param(name, marks=pytest.mark.nightly)
        for name in APPLICATIONS
    ],
)
def test_predictions_names_and_weights_are_equal(name: str) -> None:
    theirs = application(name, classifier_activation=None)
    ours = tf_n2uq.from_keras3(theirs, verify=False)
    size = SIZES.get(name, 32)
    images = np.random.default_rng(1).uniform(0, 1, (2, size, size, 3)).astype(np.float32)
    images *= 255 if name.startswith(SCALING) else 1
    expected = np.asarray(theirs(images, training=False))
    # One rounding of the input, which a deep network with random weights blows up.
    nudged = np.asarray(theirs(np.nextafter(images, np.float32(np.inf)), training=False))
    tolerance = max(1e-5 * np.abs(expected).max(), 10 * np.abs(nudged - expected).max())
    np.testing.assert_allclose(ours(images, training=False), expected, rtol=0, atol=tolerance)
    assert np.ptp(expected) > 10 * tolerance
    names = {layer.name for layer in theirs.layers}
    assert names == names & {layer.name for layer in ours.layers}
    assert sum(np.size(each) for each in ours.weights) == theirs.count_params()
