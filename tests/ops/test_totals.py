from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tf_n2uq.ops.compiled import call_compiled
from tf_n2uq.ops.totals import totals


def _products(x, y):
    return totals([lambda x, y: x * y, lambda x, y: x - y], [x, y], tf.float32)


@pytest.mark.parametrize('size', [0, 1, 1023, 1024, 131072, 300001])
def test_adds_up_vectors_of_every_length(size):
    x, y = np.random.default_rng(0).standard_normal((2, size), np.float32)
    got = call_compiled(_products, [tf.constant(x), tf.constant(y)], [])
    expected = [np.dot(x.astype(np.float64), y), np.sum(x.astype(np.float64) - y)]
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-2)
