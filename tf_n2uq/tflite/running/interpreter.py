"""The interpreter that runs a file, and the operators that its XNNPACK delegate computes."""

import dataclasses
import json
from typing import Any

import numpy as np

from tf_n2uq._compat.tflite_interpreter import interpreter_classes
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.running.isolation import run_isolated

# The interpreter loads in a second, and it prepares even a large network in a few seconds.
_TIMEOUT_SECONDS = 120


def make_interpreter(
    content: bytes, num_threads: int | None = None, reference_kernels: bool = False
) -> Any:
    """Makes an interpreter for a TFLite file.

    It is LiteRT's interpreter if that is installed, and else TensorFlow's.

    Args:
        content: The bytes of the file.
        num_threads: The number of threads that compute; None lets the interpreter choose.
        reference_kernels: Whether to use the portable kernels, which define the results of TFLite,
            in place of XNNPACK. They are slow and meant for comparisons.

    Returns:
        The interpreter. Its tensors are not allocated yet.

    Raises:
        TypeError: If `content` is not bytes.
        ValueError: If `content` is not a TFLite file, or `num_threads` is not positive.
        ImportError: If neither package is installed.
    """
    if num_threads is not None and num_threads < 1:
        raise ValueError(
            f'num_threads: expected at least 1, got {num_threads}. Give None to let the '
            'interpreter choose.'
        )
    flatbuffer.read(content)
    interpreter, resolvers = interpreter_classes()
    resolver = resolvers.BUILTIN_REF if reference_kernels else resolvers.AUTO
    return interpreter(
        model_content=bytes(content),
        num_threads=num_threads,
        experimental_op_resolver_type=resolver,
    )


def quantized(values: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    """Brings numbers into the type of an interpreter's input.

    Args:
        values: Numbers of any shape.
        details: The entry of `get_input_details` for the input.

    Returns:
        An array of the same shape and of the input's type, rounded and clipped if it is an integer
        type.
    """
    dtype = np.dtype(details['dtype'])
    if not np.issubdtype(dtype, np.integer):
        return values.astype(dtype)
    scale, zero_point = details['quantization']
    if scale == 0.0:  # Integers that stand for themselves, such as those of an Embedding.
        return np.rint(values).astype(dtype)
    limits = np.iinfo(dtype)
    return np.clip(np.rint(values / scale) + zero_point, limits.min, limits.max).astype(dtype)


def filled_up(images: np.ndarray, batch: int) -> np.ndarray:
    """Repeats the last image until there are as many images as a file takes in one run.

    Args:
        images: An array [n, …] of at least one image.
        batch: The number of images, >= n.
    """
    missing = batch - len(images)
    return np.concatenate([images, np.repeat(images[-1:], missing, axis=0)])


def dequantized(values: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    """Brings the values of an interpreter's output to float32.

    Args:
        values: The values, of any shape.
        details: The entry of `get_output_details` for the output.

    Returns:
        A float32 array of the same shape.
    """
    if not np.issubdtype(values.dtype, np.integer):
        return values.astype(np.float32)
    scale, zero_point = details['quantization']
    if scale == 0.0:  # Integers that stand for themselves, such as those of an ArgMax.
        return values.astype(np.float32)
    return ((values.astype(np.int32) - zero_point) * np.float32(scale)).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Delegation:
    """The part of a file that the XNNPACK delegate computes.

    Attributes:
        partitions: The number of runs of operators that XNNPACK computes as one. The best number
            is 1. With 0, XNNPACK computes nothing of the file.
        inside: The numbers of the operators inside of the partitions, in the order of execution.
        operators: The number of operators of the file.
    """

    partitions: int
    inside: tuple[int, ...]
    operators: int

    @property
    def delegated(self) -> int:
        """The number of operators that XNNPACK computes."""
        return len(self.inside)

    @property
    def coverage(self) -> float:
        """The share of the operators that XNNPACK computes, 0..1."""
        return self.delegated / self.operators if self.operators else 0.0


def xnnpack_delegation(content: bytes) -> Delegation:
    """Finds the operators of a file that XNNPACK computes on this machine.

    The interpreter runs in a process of its own, so that a forged file cannot end the process of
    the caller.

    Args:
        content: The bytes of the file. They need not be trusted.

    Returns:
        The partitions and the operators inside of them.

    Raises:
        TypeError: If `content` is not bytes.
        ValueError: If `content` is not a TFLite file that the interpreter can prepare.
    """
    flatbuffer.check_header(content)
    line = run_isolated('_delegation.py', content, 'the interpreter', _TIMEOUT_SECONDS)
    counts = json.loads(line)
    return Delegation(counts['partitions'], tuple(counts['inside']), counts['operators'])


def xnnpack_partitions(content: bytes) -> int:
    """Returns the number of XNNPACK partitions of a file, see `xnnpack_delegation`."""
    return xnnpack_delegation(content).partitions
