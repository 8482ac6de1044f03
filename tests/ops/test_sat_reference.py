"""SAT's and AdaBits' layers, put together from operations, against their published code."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tests.ops.references import assert_equal, cases, nhwc
from tf_n2uq import ops

CASES = cases('sat_adabits')
LEVELS = {'centered': 'centered_symmetric'}


def layout(case, name):
    """An array of a case in Keras' layout."""
    values = case[name]
    if case['kind'] == 'linear':
        return (values.T if name.endswith('weight') else values).astype(np.float32)
    if name.endswith('weight'):
        return values.transpose(2, 3, 1, 0).astype(np.float32)
    return nhwc(values)


def settings(case):
    scheme, rescale = str(case['scheme']), str(case['rescale'])
    return {
        'bits': int(case['bits']),
        'levels': LEVELS.get(scheme, scheme),
        'rescale': None if rescale == 'None' else rescale,
    }


def active(case):
    """Which of the clipping values belongs to the case's bits."""
    return list(case['bits_list']).index(case['bits'])


def product(case, x, kernel):
    if case['kind'] == 'linear':
        return tf.matmul(x, kernel)
    return tf.nn.conv2d(x, kernel, 1, 'SAME')


@pytest.mark.parametrize('quantize_kernel', [ops.dorefa, ops.dorefa_elementwise])
@pytest.mark.parametrize('case', CASES, ids=range(len(CASES)))
def test_equals_the_published_layer_in_training(case, quantize_kernel):
    x, kernel, dy = (tf.constant(layout(case, name)) for name in ('x', 'weight', 'dy'))
    clip = tf.constant(case['alpha'][active(case)], tf.float32)
    bias = tf.constant(case.get('bias', np.zeros(dy.shape[-1])), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch([x, kernel, clip, bias])
        inputs = ops.pact(x, clip, int(case['bits']), 'calibrated')
        y = product(case, inputs, quantize_kernel(kernel, **settings(case))) + bias
    dx, d_kernel, d_clip, d_bias = tape.gradient(y, [x, kernel, clip, bias], dy)
    assert_equal(y, layout(case, 'y'))
    assert_equal(dx, layout(case, 'dx'))
    assert_equal(d_kernel, layout(case, 'dweight'))
    assert_equal(d_clip, case['dalpha'][active(case)])
    if 'dbias' in case:
        assert_equal(d_bias, case['dbias'])
