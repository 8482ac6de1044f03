"""The memory that files need in TensorFlow Lite Micro, the interpreter for microcontrollers."""

import importlib.util

from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.running.isolation import run_isolated

# For a network of 1500 operators, it takes about ten seconds to try two dozen arenas.
_TIMEOUT_SECONDS = 300


def micro_arena(content: bytes) -> int:
    """Finds the least tensor arena in which TensorFlow Lite Micro runs a file on this machine.

    The arena holds the tensors, an INT4 kernel while it is unpacked, and the interpreter's records
    of the operators. The records hold pointers, so they are smaller on a microcontroller, whose
    pointers have 32 bits. The file itself, with its kernels, is not part of the arena.

    Args:
        content: The bytes of the file. They need not be trusted.

    Returns:
        The size of the arena in bytes, a multiple of 16.

    Raises:
        TypeError: If `content` is not bytes.
        ValueError: If `content` is not a TFLite file that TensorFlow Lite Micro can prepare within
            256 MiB. The message repeats that of the interpreter.
        ImportError: If the package tflite-micro is not installed.
    """
    flatbuffer.read(content)
    if importlib.util.find_spec('tflite_micro') is None:
        raise ImportError(
            'micro_arena: expected the package tflite-micro, got no such package. Call '
            '`pip install tflite-micro`, which exists for Linux on x86-64.'
        )
    return int(run_isolated('_arena.py', content, 'TensorFlow Lite Micro', _TIMEOUT_SECONDS))
