"""N2UQ's activation function and its piecewise linear surrogate, in NumPy and float64.

Written from the paper's formulas, value by value, and independently of `tf_n2uq.ops`.
"""

from __future__ import annotations

import numpy as np

FLOOR = 1e-3


def staircase(x, start, intervals, input_scale, output_scale):
    """The forward function."""
    n = len(intervals)
    a = np.maximum(np.asarray(intervals, np.float64), FLOOR)
    scaled = np.asarray(x, np.float64) * input_scale
    level = np.zeros_like(scaled)
    left = float(np.squeeze(start))
    for width in a:
        level += scaled > left + width / 2
        left += width
    return level * (2 / n) * output_scale


def ramp(x, start, intervals, input_scale, output_scale):
    """The expectation of stochastic rounding, which the backward pass differentiates."""
    n = len(intervals)
    a = np.maximum(np.asarray(intervals, np.float64), FLOOR)
    knots = np.append(start, start + np.cumsum(a))
    scaled = np.asarray(x, np.float64) * input_scale
    return np.interp(scaled, knots, np.arange(n + 1)) * (2 / n) * output_scale


def numeric_gradients(x, dy, start, intervals, input_scale, output_scale, step=1e-6):
    """Central differences of sum(dy · ramp) for x, start, intervals and input_scale.

    For output_scale that of sum(dy · staircase), which is linear in it.
    """
    parameters = [start, np.asarray(intervals, np.float64), input_scale, output_scale]

    def loss(function=ramp, value=x, **changed):
        names = ('start', 'intervals', 'input_scale', 'output_scale')
        arguments = {**dict(zip(names, parameters, strict=True)), **changed}
        return float(np.sum(dy * function(value, **arguments)))

    def slope(name, value, function=ramp):
        return (loss(function, **{name: value + step}) - loss(function, **{name: value - step})) / (
            2 * step
        )

    dx = dy * (ramp(x + step, *parameters) - ramp(x - step, *parameters)) / (2 * step)
    d_intervals = []
    for index in range(len(intervals)):
        shift = np.zeros(len(intervals))
        shift[index] = step
        up, down = (loss(intervals=parameters[1] + sign * shift) for sign in (1, -1))
        d_intervals.append((up - down) / (2 * step))
    return (
        dx,
        slope('start', start),
        np.array(d_intervals),
        slope('input_scale', input_scale),
        slope('output_scale', output_scale, staircase),
    )


def far_from_knots(x, start, intervals, input_scale, margin=1e-4):
    """Which values lie nowhere near a knot of the ramp or a step of the staircase."""
    a = np.maximum(np.asarray(intervals, np.float64), FLOOR)
    knots = np.append(start, start + np.cumsum(a))
    marks = np.concatenate([knots, knots[:-1] + a / 2])
    distance = np.abs(np.asarray(x, np.float64)[..., None] * input_scale - marks)
    return distance.min(-1) > margin
