from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tf_n2uq import ops
from tf_n2uq.quantizers import EntropyPreservingQuantizer, SymmetricQuantizer

KERNEL = np.random.default_rng(0).standard_normal([3, 3, 4, 2]).astype(np.float32)


@pytest.mark.parametrize('axis', [-1, (-2, -1)])
@pytest.mark.parametrize(
    ('kind', 'function'),
    [(EntropyPreservingQuantizer, ops.entropy_preserving), (SymmetricQuantizer, ops.symmetric)],
)
def test_computes_its_function_with_its_axis(kind, function, axis):
    quantizer = kind(3, channel_axis=axis)
    weights = quantizer.build(KERNEL.shape, 'kernel', None)
    assert weights == {}
    quantized = quantizer(KERNEL, True, weights=weights)
    np.testing.assert_array_equal(quantized, function(KERNEL, 3, axis))
    integers, unit = quantizer.integers(KERNEL)
    assert unit.shape == ((1, 1, 4, 2) if axis == (-2, -1) else (1, 1, 1, 2))
    np.testing.assert_array_equal(tf.cast(integers, tf.float32) * unit, quantized)


@pytest.mark.parametrize(
    ('bits', 'channel_axis', 'units'), [(3, -1, 1), (4, -1, 2), (4, (-2, -1), 1), (5, -1, 1)]
)
def test_a_bias_is_even_where_a_file_halves_the_kernel(bits, channel_axis, units):
    assert EntropyPreservingQuantizer(bits, channel_axis).bias_units == units
    assert SymmetricQuantizer(bits, channel_axis).bias_units == 1
