"""A script that prints the least tensor arena in which TensorFlow Lite Micro runs a file.

The script reads the file from standard input and prints a number of bytes. It imports nothing of
this package, so that it starts without TensorFlow.
"""

import os
import sys

from tflite_micro import runtime

# No microcontroller has nearly as much memory.
_LARGEST_ARENA = 1 << 28
# TensorFlow Lite Micro aligns its buffers to so many bytes.
_ALIGNMENT = 16


def least_arena(content: bytes) -> int:
    """Finds the least arena by trying sizes.

    The interpreter itself reports only the memory that it keeps, but it needs more for a while when
    it prepares a file.

    Args:
        content: The bytes of a file.

    Returns:
        The size in bytes, a multiple of 16.
    """
    runtime.Interpreter.from_bytes(content, arena_size=_LARGEST_ARENA)
    too_small, enough = 0, _LARGEST_ARENA
    while enough - too_small > _ALIGNMENT:
        size = (too_small + enough) // 2
        if _is_enough(content, size):
            enough = size
        else:
            too_small = size
    return enough


def _is_enough(content: bytes, size: int) -> bool:
    """Tries an arena in a process of its own, because an arena that is too small may end it."""
    child = os.fork()
    if child == 0:
        try:
            runtime.Interpreter.from_bytes(content, arena_size=size)
        except RuntimeError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


if __name__ == '__main__':
    print(least_arena(sys.stdin.buffer.read()))
