"""Decay of the learning rate."""

import numpy as np
import pytest

from tf_n2uq.training import cosine_decay, linear_decay, step_decay


def test_learning_rate_falls_linearly_to_zero_and_stays_there():
    schedule = linear_decay(0.4, 8)
    rates = [float(schedule(step)) for step in (0, 2, 6, 7, 8, 20)]
    np.testing.assert_allclose(rates, [0.4, 0.3, 0.1, 0.05, 0.0, 0.0], rtol=1e-6, atol=1e-8)


def test_learning_rate_falls_along_half_a_cosine_and_stays_at_zero():
    schedule = cosine_decay(0.4, 8)
    rates = [float(schedule(step)) for step in (0, 2, 4, 6, 8, 20)]
    expected = [0.4, 0.2 * (1 + 0.5**0.5), 0.2, 0.2 * (1 - 0.5**0.5), 0.0, 0.0]
    np.testing.assert_allclose(rates, expected, rtol=1e-6, atol=1e-8)


def test_learning_rate_falls_to_a_tenth_from_each_given_step_on():
    schedule = step_decay(0.1, [100, 150])
    rates = [float(schedule(step)) for step in (0, 99, 100, 149, 150, 1000)]
    np.testing.assert_allclose(rates, [0.1, 0.1, 0.01, 0.01, 0.001, 0.001], rtol=1e-6)


@pytest.mark.parametrize('schedule', [linear_decay, cosine_decay])
@pytest.mark.parametrize(
    ('initial', 'steps', 'error', 'words'),
    [
        ('fast', 8, TypeError, '^initial.*: expected'),
        (True, 8, TypeError, '^initial.*: expected'),
        (0.0, 8, ValueError, '^initial.*: expected'),
        (float('nan'), 8, ValueError, '^initial.*: expected'),
        (0.1, 2.5, TypeError, '^steps.*: expected'),
        (0.1, 0, ValueError, '^steps.*: expected'),
        (0.1, -2, ValueError, 'batches in an epoch'),
    ],
)
def test_bad_arguments_are_named(schedule, initial, steps, error, words):
    with pytest.raises(error, match=words):
        schedule(initial, steps)


@pytest.mark.parametrize(
    ('arguments', 'error', 'words'),
    [
        ((0.0, [3]), ValueError, '^initial.*: expected'),
        ((0.1, []), ValueError, '^steps_at.*: expected'),
        ((0.1, [3, 3]), ValueError, '^steps_at.*: expected'),
        ((0.1, [0, 3]), ValueError, '^steps_at.*: expected'),
        ((0.1, [1.5]), TypeError, '^steps_at.*: expected'),
        ((0.1, [3], 0.0), ValueError, '^factor.*: expected'),
    ],
)
def test_bad_arguments_of_steps_are_named(arguments, error, words):
    with pytest.raises(error, match=words):
        step_decay(*arguments)
