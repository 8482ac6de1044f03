"""Linear decay of the learning rate."""

import numpy as np
import pytest

from tf_n2uq.training import linear_decay


def test_learning_rate_falls_linearly_to_zero_and_stays_there():
    schedule = linear_decay(0.4, 8)
    rates = [float(schedule(step)) for step in (0, 2, 6, 7, 8, 20)]
    np.testing.assert_allclose(rates, [0.4, 0.3, 0.1, 0.05, 0.0, 0.0], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    ('initial', 'steps', 'error', 'words'),
    [
        ('fast', 8, TypeError, '`initial`'),
        (True, 8, TypeError, '`initial`'),
        (0.0, 8, ValueError, '`initial`'),
        (float('nan'), 8, ValueError, '`initial`'),
        (0.1, 2.5, TypeError, '`steps`'),
        (0.1, 0, ValueError, '`steps`'),
        (0.1, -2, ValueError, 'batches in an epoch'),
    ],
)
def test_bad_arguments_are_named(initial, steps, error, words):
    with pytest.raises(error, match=words):
        linear_decay(initial, steps)
