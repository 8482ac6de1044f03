"""Compiled calls, and sums over chunks inside of them."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tf_n2uq.ops import compiled
from tf_n2uq.ops.compiled import call_compiled, call_traced, sum_over_chunks


def _scaled(x, y, factor):
    return x * factor, y + factor


def _sums(x, y):
    def moments(x, y):
        return tf.stack([tf.reduce_sum(x), tf.reduce_sum(x * y)])

    return sum_over_chunks(moments, [x, y], 64, tf.zeros([2]))


def test_tensors_are_handed_over_as_vectors_of_any_size():
    for shape in ([2, 3], [7], []):
        x = tf.ones(shape)
        scaled, moved = call_compiled(_scaled, [x, x], [tf.constant(3.0)])
        np.testing.assert_array_equal(scaled, np.full([x.shape.num_elements()], 3.0))
        np.testing.assert_array_equal(moved, np.full([x.shape.num_elements()], 4.0))


def test_a_function_is_traced_once_for_all_sizes():
    before = compiled._compile.cache_info().misses
    for size in (1, 5, 9):
        call_compiled(_scaled, [tf.ones([size]), tf.ones([size])], [tf.constant(3.0)])
    assert compiled._compile.cache_info().misses - before <= 1


def _powers(x, factor, exponent):
    return factor * x**exponent


def test_a_graph_has_one_call_for_each_use_of_a_traced_function():
    before = compiled._trace.cache_info().misses

    @tf.function
    def network(x, y):
        parts = [call_traced(_powers, [part], [tf.constant(2.0)], exponent=3) for part in (x, y)]
        return parts[0] + tf.reduce_sum(parts[1])

    np.testing.assert_array_equal(network(tf.constant([[3.0]]), tf.ones([2, 4])), [[70.0]])
    concrete = network.get_concrete_function(tf.constant([[3.0]]), tf.ones([2, 4]))
    types = [operation.type for operation in concrete.graph.get_operations()]
    assert types.count('PartitionedCall') == 2
    assert 'Pow' not in types
    assert compiled._trace.cache_info().misses - before == 1


def test_constants_of_a_traced_function_are_told_apart():
    x = tf.constant(2.0)
    assert float(call_traced(_powers, [x], [tf.constant(1.0)], exponent=2)) == 4
    assert float(call_traced(_powers, [x], [tf.constant(1.0)], exponent=3)) == 8


@pytest.mark.parametrize('size', [0, 1, 63, compiled._CHUNK, 2 * compiled._CHUNK + 77])
def test_chunks_add_up_to_the_whole(size):
    generator = np.random.default_rng(size)
    x, y = (generator.integers(-3, 4, size).astype(np.float32) for _ in range(2))
    got = call_compiled(_sums, [tf.constant(x), tf.constant(y)], [])
    np.testing.assert_array_equal(got, [x.sum(dtype=np.float64), (x * y).sum(dtype=np.float64)])
