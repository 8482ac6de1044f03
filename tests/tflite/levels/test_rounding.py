"""Bounds of what kernels give. `test_table_lowering` compares them with the kernels themselves."""

import numpy as np
import pytest

from tf_n2uq.tflite.levels.rounding import Bound, bent, subtracted

Q = np.arange(-128, 128)


def bounds(function, *arguments):
    return [function(*arguments, bound) for bound in (Bound.LEAST, Bound.IDEAL, Bound.GREATEST)]


def test_a_subtraction_rounds_halves_up_and_saturates():
    values = np.array([-128, -3, 0, 1, 127])
    np.testing.assert_array_equal(subtracted(values, 2.0, 0.5, Bound.IDEAL), [-128, -5, 1, 3, 127])


def test_a_subtraction_is_uncertain_only_near_halves():
    least, ideal, greatest = bounds(subtracted, Q, 0.5, 0.0)
    np.testing.assert_array_equal(greatest - least, Q % 2)
    np.testing.assert_array_equal(greatest, ideal)
    assert np.array_equal(*bounds(subtracted, Q, 0.5, 0.25)[::2])


def test_the_greater_the_gain_the_more_uncertain_a_subtraction_is():
    assert np.array_equal(*bounds(subtracted, Q, 1.0, 0.49)[::2])
    assert not np.array_equal(*bounds(subtracted, Q, 40.0, 0.49)[::2])


@pytest.mark.parametrize('factor', [128, 129, 200, 256, 300, 32767, -129, -200])
def test_kernels_agree_on_factors_of_half_and_more_except_for_halves(factor):
    distances = np.arange(-255, 256)
    least, ideal, greatest = bounds(bent, distances, factor, abs(factor))
    products = distances * np.where(distances < 0, factor, abs(factor))
    is_half = products % 256 == 128
    np.testing.assert_array_equal(greatest - least, is_half)
    np.testing.assert_array_equal(ideal, (products + 128) // 256)


def test_smaller_factors_are_rounded_twice_by_tflite():
    # 5 · 77/256 = 1.504 rounds to 2. TFLite rounds 3.008 to 3, then 1.5 away from zero.
    # 8 · 77/256 = 2.406 rounds to 2. TFLite rounds 4.8 to 5, then 2.5 away from zero.
    distances = np.array([5, 8, -8])
    least, ideal, greatest = bounds(bent, distances, 77, 77)
    np.testing.assert_array_equal(ideal, [2, 2, -2])
    np.testing.assert_array_equal(greatest, [2, 3, -2])
    np.testing.assert_array_equal(least, [2, 2, -3])


def test_bounds_contain_the_ideal_result():
    rng = np.random.default_rng(0)
    distances = np.arange(-255, 256)
    for _ in range(100):
        below, above = rng.integers(1, 600, 2) * np.array([rng.choice([-1, 1]), 1])
        least, ideal, greatest = bounds(bent, distances, below, above)
        assert (least <= ideal).all()
        assert (ideal <= greatest).all()
        assert (greatest - least <= 1).all()
