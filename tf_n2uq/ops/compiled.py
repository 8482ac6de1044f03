"""Calls of functions that are traced once or that XLA compiles, and sums over long vectors."""

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


def call_traced(
    function: Callable[..., Any],
    tensors: Sequence[tf.Tensor],
    parameters: Sequence[tf.Tensor] = (),
    **constants: Any,
) -> Any:
    """Calls a function of tensors and parameters that is traced once for all sizes of the tensors.

    A network has many quantizers of the same kind. Each of them adds one call to the graph of a
    training step, in place of dozens of operations, each of which Python has to make.

    Args:
        function: As for `call_compiled`, with these constants as keyword arguments.
        tensors: Tensors of any shapes. The function knows the number of their axes alone.
        parameters: Tensors of statically known shapes.
        **constants: Hashable values, such as a bit-width.

    Returns:
        The result of `function`, of unknown static shape where it depends on the tensors.
    """
    signature = (
        *(tf.TensorSpec(_free_axes(tensor.shape), tensor.dtype) for tensor in tensors),
        *(tf.TensorSpec(parameter.shape, parameter.dtype) for parameter in parameters),
    )
    return _trace(function, signature, tuple(constants.items()))(*tensors, *parameters)


def _free_axes(shape: tf.TensorShape) -> list[None] | None:
    return None if shape.rank is None else [None] * shape.rank


@functools.cache
def _trace(
    function: Callable[..., Any],
    signature: tuple[tf.TensorSpec, ...],
    constants: tuple[tuple[str, Any], ...],
) -> Callable[..., Any]:
    def bound(*arguments: tf.Tensor) -> Any:
        return function(*arguments, **dict(constants))

    return tf.function(bound, input_signature=signature, autograph=False)


@functools.cache
def _compile(
    function: Callable[..., Any], signature: tuple[tf.TensorSpec, ...]
) -> Callable[..., Any]:
    return tf.function(function, input_signature=signature, jit_compile=True, autograph=False)


def sum_over_chunks(
    function: Callable[..., tf.Tensor],
    tensors: Sequence[tf.Tensor],
    multiple: int,
    zeros: tf.Tensor,
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
        zeros: Zeros of the shape and dtype of the results.

    Returns:
        The sum of the results of `function`.
    """
    size = tf.size(tensors[0])
    rows = tf.maximum(-(-size // multiple), 1)
    chunk = tf.minimum(rows * multiple, _CHUNK)
    missing = tf.maximum(chunk - size, 0)
    filled = [tf.pad(tensor, [[0, missing]]) for tensor in tensors]
    end = size + missing

    def summand(begin: tf.Tensor) -> tf.Tensor:
        # The last chunk reaches back to values that have been added already, and takes zeros for
        # them. So it is as long as the others, and XLA compiles the function once, not twice.
        first = tf.minimum(begin, end - chunk)
        is_new = first + tf.range(chunk) >= begin
        parts = [tf.slice(tensor, [first], [chunk]) for tensor in filled]
        return function(*(tf.where(is_new, part, tf.zeros_like(part)) for part in parts))

    def step(begin: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return begin + chunk, total + summand(begin)

    return tf.while_loop(lambda begin, _: begin < end, step, (0, zeros))[1]
