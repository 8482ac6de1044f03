"""The interpreter that runs a file, and what its XNNPACK delegate takes."""

import dataclasses
import json
from typing import Any

import numpy as np

from tf_n2uq._compat.tflite_interpreter import interpreter_classes
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.running.isolation import run_isolated

# Loading the interpreter takes a second; preparing even a large network takes few.
_TIMEOUT_SECONDS = 120


def make_interpreter(
    content: bytes, num_threads: int | None = None, reference_kernels: bool = False
) -> Any:
    """Makes an interpreter of a TFLite file: LiteRT's if installed, otherwise TensorFlow's.

    Args:
        content: The file's bytes.
        num_threads: Threads to compute with; None leaves it to the interpreter.
        reference_kernels: Use the portable kernels that define the results, without XNNPACK. Slow;
            for comparisons.

    Returns:
        An interpreter, whose tensors are not allocated yet.

    Raises:
        TypeError: `content` is not bytes.
        ValueError: `content` is not a TFLite file, or `num_threads` is not positive.
        ImportError: Neither package is installed.
    """
    if num_threads is not None and num_threads < 1:
        raise ValueError(f'`num_threads` must be at least 1, got {num_threads}.')
    flatbuffer.read(content)
    interpreter, resolvers = interpreter_classes()
    resolver = resolvers.BUILTIN_REF if reference_kernels else resolvers.AUTO
    return interpreter(
        model_content=bytes(content),
        num_threads=num_threads,
        experimental_op_resolver_type=resolver,
    )


def quantized(values: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    """Brings numbers into the type of an interpreter's input, from one of its `details`."""
    dtype = np.dtype(details['dtype'])
    if not np.issubdtype(dtype, np.integer):
        return values.astype(dtype)
    scale, zero_point = details['quantization']
    limits = np.iinfo(dtype)
    return np.clip(np.rint(values / scale) + zero_point, limits.min, limits.max).astype(dtype)


def dequantized(values: np.ndarray, details: dict[str, Any]) -> np.ndarray:
    """Brings what an interpreter's output holds to float32, by that output's `details`."""
    if not np.issubdtype(values.dtype, np.integer):
        return values.astype(np.float32)
    scale, zero_point = details['quantization']
    return ((values.astype(np.int32) - zero_point) * np.float32(scale)).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Delegation:
    """What the XNNPACK delegate takes of a file.

    Attributes:
        partitions: Runs of operators that XNNPACK computes as one. 1 is best; 0 means that it
            computes nothing.
        inside: Numbers of the operators inside of them, in the order of execution.
        operators: Operators of the file.
    """

    partitions: int
    inside: tuple[int, ...]
    operators: int

    @property
    def delegated(self) -> int:
        """How many operators XNNPACK computes."""
        return len(self.inside)

    @property
    def coverage(self) -> float:
        """Share of the operators that XNNPACK computes."""
        return self.delegated / self.operators if self.operators else 0.0


def xnnpack_delegation(content: bytes) -> Delegation:
    """Finds out what XNNPACK takes of a file on this machine.

    The interpreter runs in a process of its own: a forged file may end that one, not the caller's.

    Args:
        content: The file's bytes; they need not be trusted.

    Returns:
        The partitions and the operators in them.

    Raises:
        TypeError: `content` is not bytes.
        ValueError: `content` is not a TFLite file that the interpreter can prepare.
    """
    flatbuffer.read(content)
    line = run_isolated('_delegation.py', content, 'the interpreter', _TIMEOUT_SECONDS)
    counts = json.loads(line)
    return Delegation(counts['partitions'], tuple(counts['inside']), counts['operators'])


def xnnpack_partitions(content: bytes) -> int:
    """Number of XNNPACK partitions of a file; see `xnnpack_delegation`."""
    return xnnpack_delegation(content).partitions
