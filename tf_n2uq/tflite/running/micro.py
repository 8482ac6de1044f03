"""Files for TensorFlow Lite Micro, the interpreter for microcontrollers."""

import importlib.util

from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.running.isolation import run_isolated

# Trying two dozen arenas takes some ten seconds for a network of 1500 operators.
_TIMEOUT_SECONDS = 300


def micro_arena(content: bytes) -> int:
    """Finds out how much memory TensorFlow Lite Micro needs for a file.

    This is the least tensor arena in which the file runs on this machine, with all that the
    interpreter keeps there: tensors, an INT4 kernel while it is unpacked, and what it knows of
    each operator. The latter holds pointers, so it takes less where these have 32 bits.
    The file itself, with its kernels, is not part of it.

    Args:
        content: The file's bytes; they need not be trusted.

    Returns:
        Bytes, a multiple of 16.

    Raises:
        TypeError: `content` is not bytes.
        ValueError: `content` is not a TFLite file that TensorFlow Lite Micro can prepare within
            256 MiB. The message has what it said.
        ImportError: The package tflite-micro is not installed.
    """
    flatbuffer.read(content)
    if importlib.util.find_spec('tflite_micro') is None:
        raise ImportError(
            "TensorFlow Lite Micro's interpreter is needed: `pip install tflite-micro`, which "
            'there is for Linux on x86-64.'
        )
    return int(run_isolated('_arena.py', content, 'TensorFlow Lite Micro', _TIMEOUT_SECONDS))
