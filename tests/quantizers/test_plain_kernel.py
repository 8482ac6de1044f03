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


@pytest.mark.parametrize('bits', [2, 3, 4, 7])
def test_only_entropy_preserving_kernels_have_odd_integers(bits):
    odd, any_integer = EntropyPreservingQuantizer(bits), SymmetricQuantizer(bits)
    assert np.all(odd.integers(KERNEL)[0] % 2 == 1)
    assert odd.has_odd_integers
    assert not np.all(any_integer.integers(KERNEL)[0] % 2 == 1)
    assert not any_integer.has_odd_integers
