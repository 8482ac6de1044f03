"""Uniform levels that fit sampled values with the least squared error."""

from __future__ import annotations

import numpy as np

_CANDIDATES = 48
_MAX_SAMPLES = 2**14


def fit_levels(samples: np.ndarray, count: int) -> tuple[float, float]:
    """Finds the origin and the step of uniform levels with the smallest mean squared error.

    The levels are `origin + step · k` for k in 0..count, and a value goes to the nearest. Where no
    sample is negative the origin is 0, so that zeros stay zeros. Elsewhere the origin is searched
    together with the step: both ends of the range shrink from the extremes towards zero.

    Args:
        samples: Finite values of any shape.
        count: The number of steps, 2^bits − 1.

    Returns:
        `(origin, step)` with step > 0. Samples that are all zero give `(0, 1 / count)`.
    """
    values = np.asarray(samples, np.float64).ravel()
    if len(values) > _MAX_SAMPLES:
        values = values[:: -(-len(values) // _MAX_SAMPLES)]
    low, high = min(0.0, float(values.min())), max(0.0, float(values.max()))
    if high == low:
        return 0.0, 1.0 / count
    fractions = np.geomspace(0.02, 1.0, _CANDIDATES)
    if low == 0.0:
        pairs = [(0.0, high * fraction) for fraction in fractions]
    else:
        coarse = np.concatenate([[0.0], fractions[:: _CANDIDATES // 12]])
        pairs = [(low * a, high * b) for a in coarse for b in coarse if low * a < high * b]
    errors = [_squared_error(values, start, (end - start) / count, count) for start, end in pairs]
    start, end = pairs[int(np.argmin(errors))]
    return start, (end - start) / count


def _squared_error(values: np.ndarray, origin: float, step: float, count: int) -> float:
    levels = np.clip(np.rint((values - origin) / step), 0, count)
    return float(np.mean(np.square(values - origin - step * levels)))
