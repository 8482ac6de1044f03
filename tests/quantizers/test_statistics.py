"""Statistics of tensors in calibration."""

from __future__ import annotations

import numpy as np

from tf_n2uq.quantizers import TensorStatistics


def test_two_parts_are_merged():
    generator = np.random.default_rng(0)
    one = TensorStatistics(-1.0, 2.0, np.zeros([3, 2], np.float32))
    other = TensorStatistics(-5.0, 1.0, np.ones([4, 2], np.float32))
    both = one.merged(other, generator)
    assert (both.minimum, both.maximum) == (-5.0, 2.0)
    np.testing.assert_array_equal(both.samples[:, 0], [0, 0, 0, 1, 1, 1, 1])


def test_many_samples_are_thinned_at_random():
    limit = 2**18
    samples = np.arange(2 * limit + 1, dtype=np.float64).reshape(-1, 1)
    one, other = (TensorStatistics(0.0, 1.0, part) for part in np.split(samples, [limit]))
    merged = one.merged(other, np.random.default_rng(0)).samples
    assert merged.shape == (limit, 1)
    assert np.unique(merged).size == limit
    assert abs(np.mean(merged) / limit - 1) < 0.01
