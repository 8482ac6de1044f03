"""Comparators for levels that begin below zero, at every number of bits and lowest level."""

from __future__ import annotations

import numpy as np
import pytest

from tf_n2uq.tflite.levels.comparators import HIGHEST, LOWEST, plan_comparators

_Q = np.arange(LOWEST, HIGHEST + 1)


def table(bits: int, lowest: int, channels: int) -> np.ndarray:
    """Levels of the 256 int8 values per channel, each channel with a step and offset of its own."""
    generator = np.random.default_rng(bits)
    step = 255 / 2**bits * generator.uniform(0.5, 1.5, channels)
    moved = generator.uniform(-30, 30, channels)
    levels = np.rint((_Q[:, np.newaxis] + moved) / step)
    return np.clip(levels, lowest, lowest + 2**bits - 1).astype(np.int32)


@pytest.mark.parametrize('bits', range(2, 8))
@pytest.mark.parametrize('channels', [1, 5])
def test_a_plan_adds_up_to_the_levels_whichever_is_the_lowest(bits, channels):
    steps = 2**bits - 1
    # All 2**bits of them have been tried; these take a second.
    for lowest in {*range(-steps, 1, max(1, steps // 8)), 0}:
        levels = table(bits, lowest, channels)
        plan = plan_comparators(levels.reshape(256, 1, 1, channels), steps)
        added_up = plan.evaluate(_Q.reshape(256, 1, 1, 1))
        np.testing.assert_array_equal(added_up.reshape(256, -1), levels)
        # Level 0 is padded, and all levels are int8.
        ends = plan.zero_point + plan.stretch * np.array([levels.min(), 0, levels.max()])
        assert ends.min() >= LOWEST
        assert ends.max() <= HIGHEST
