"""The base class of quantizers with a clipping value, by the example of PACT and DoReFa-Net."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tests.quantizers.layers import Owner
from tf_n2uq.quantizers import DoReFaInputQuantizer, PACTQuantizer, TensorStatistics

each = pytest.mark.parametrize('kind', [PACTQuantizer, DoReFaInputQuantizer])


@each
@pytest.mark.parametrize('clip', [1.7, 0.0, -3.0])
def test_levels_times_step_is_the_output_whatever_the_clipping_value(kind, clip):
    layer = Owner(kind(3))
    x = tf.linspace(-2.0, 2.0, 101)
    layer(x)
    layer.quantizer_weights['clip_value'].assign([clip])
    step = float(layer.quantizer.step(layer.quantizer_weights))
    assert step > 0
    levels = layer.quantizer.levels(x, layer.quantizer_weights).numpy()
    assert (levels.min(), levels.max()) == (0, 7)
    np.testing.assert_allclose(layer(x), levels * step, rtol=1e-6)


@each
def test_negative_samples_count_as_zeros_in_calibration(kind):
    positive = np.random.default_rng(0).uniform(0, 3, [512, 1]).astype(np.float32)
    clips = []
    for samples in (
        np.concatenate([positive, -positive]),
        np.concatenate([positive, 0 * positive]),
    ):
        statistics = TensorStatistics(float(samples.min()), float(samples.max()), samples)
        clips.append(kind(4).calibrated(statistics)['clip_value'])
    np.testing.assert_array_equal(*clips)
    assert 2.5 < clips[0] < 3.1
