"""Calls of functions that XLA compiles, and sums over long vectors inside of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

# Values that a step of `sum_over_chunks` takes: enough for every core, and few enough for what
# it computes of them to stay in the cache. Measured with 2 cores of 1 MiB L2.
_CHUNK = 131072


def call_compiled(
    function: Callable[..., Any], tensors: Sequence[tf.Tensor], parameters: Sequence[tf.Tensor]
) -> Any:
    """Calls a compiled function of vectors and parameters.

    A chain of many elementwise operations on a large tensor, run one after the other, spends its
    time on writing temporaries to memory. XLA makes one loop of the chain, and shares the loop
    among the cores.

    Args:
        function: A function of the vectors and the parameters. It is one object for all calls, and
            no lambda or closure made anew, because traced graphs are kept by it.
        tensors: The tensors that the function gets as vectors, of any shapes, unknown ones too.
        parameters: Tensors of statically known shapes.

    Returns:
        The result of `function`.
    """
    vectors = [tf.reshape(tensor, [-1]) for tensor in tensors]
    signature = (
        *(tf.TensorSpec([None], vector.dtype) for vector in vectors),
        *(tf.TensorSpec(parameter.shape, parameter.dtype) for parameter in parameters),
    )
    return _compile(function, signature)(*vectors, *parameters)


@functools.cache
def _compile(
    function: Callable[..., Any], signature: tuple[tf.TensorSpec, ...]
) -> Callable[..., Any]:
    return tf.function(function, input_signature=signature, jit_compile=True, autograph=False)


def sum_over_chunks(
    function: Callable[..., tf.Tensor], tensors: Sequence[tf.Tensor], multiple: int
) -> tf.Tensor:
    """Adds up the results of a function for one chunk of vectors after the other.

    Compiled functions need this: XLA would compute many sums over large tensors from temporaries
    that are several times as large as the tensors.

    Args:
        function: A function of a chunk of each vector, `[m]` with m a multiple of `multiple`. It
            returns a tensor whose shape does not depend on m, and which is zero for chunks of
            zeros.
        tensors: Vectors `[size]`.
        multiple: A power of two up to 131072.

    Returns:
        The sum of the results of `function`.
    """
    size = tf.size(tensors[0])
    # A loop without a step is compiled too, so its slices have to fit.
    chunk = tf.minimum(size, _CHUNK)
    chunks = size // _CHUNK

    def summand(begin: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
        fill = [[0, -length % multiple]]
        return function(*(tf.pad(tf.slice(t, [begin], [length]), fill) for t in tensors))

    def step(index: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return index + 1, total + summand(index * chunk, chunk)

    last = summand(chunks * chunk, size - chunks * chunk)
    return tf.while_loop(lambda index, _: index < chunks, step, (0, last))[1]
