"""Sums of elementwise functions of long vectors, inside of functions that XLA compiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import tensorflow as tf

from tf_n2uq.ops.compiled import sum_over_chunks

# Rows that one instruction after the other adds up, and columns for the vector unit: a plain sum
# of everything is compiled into one number after the other.
_UNROLLED, _COLUMNS = 16, 64


def totals(
    functions: Sequence[Callable[..., tf.Tensor]], tensors: Sequence[tf.Tensor], dtype: tf.DType
) -> list[tf.Tensor]:
    """Adds up elementwise functions of vectors, in one pass that writes no values to memory.

    Args:
        functions: Functions of `[m]` values of each vector that return `[m]` values, and zero where
            all vectors are zero.
        tensors: Vectors `[size]`; the size may be unknown statically.
        dtype: The float dtype that the functions return.

    Returns:
        The sum of each function, `[]`, in this dtype.
    """

    def row_sum(values: tf.Tensor) -> tf.Tensor:
        rows = tf.reshape(values, [-1, _UNROLLED, _COLUMNS])
        return tf.reduce_sum(tf.add_n([rows[:, i] for i in range(_UNROLLED)]))

    def chunk_totals(*chunks: tf.Tensor) -> tf.Tensor:
        return tf.stack([row_sum(function(*chunks)) for function in functions])

    zeros = tf.zeros([len(functions)], dtype)
    return tf.unstack(sum_over_chunks(chunk_totals, tensors, _UNROLLED * _COLUMNS, zeros))
