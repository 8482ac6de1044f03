"""Uniform levels with the least squared error."""

from __future__ import annotations

import numpy as np
import pytest

from tf_n2uq.quantizers.fitting import fit_levels


def error(samples, origin, step, count):
    levels = np.clip(np.rint((samples - origin) / step), 0, count)
    return np.mean(np.square(samples - origin - step * levels))


def test_samples_on_few_levels_are_fitted_exactly():
    samples = 0.5 * np.random.default_rng(0).integers(0, 4, 2000)
    origin, step = fit_levels(samples, 3)
    assert origin == 0
    assert error(samples, origin, step, 3) < 1e-12


@pytest.mark.parametrize('count', [3, 15])
def test_the_range_is_cut_where_that_costs_less(count):
    samples = np.random.default_rng(0).normal(size=5000)
    origin, step = fit_levels(samples, count)
    assert samples.min() < origin < 0 < origin + count * step < samples.max()
    whole = (samples.max() - samples.min()) / count
    assert error(samples, origin, step, count) < 0.7 * error(samples, samples.min(), whole, count)


def test_samples_that_are_not_negative_begin_at_zero():
    origin, step = fit_levels(np.random.default_rng(0).uniform(2, 3, 500), 7)
    assert origin == 0
    assert 7 * step > 2.5


def test_zeros_have_levels_that_can_be_used():
    assert fit_levels(np.zeros(10), 3) == (0.0, 1 / 3)
