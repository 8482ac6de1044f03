"""Run as a script: reads a TFLite file from standard input, prints the least arena it runs in.

It imports nothing of this package, so that it starts without TensorFlow.
"""

import os
import sys

from tflite_micro import runtime

# Far above any microcontroller's memory.
_MOST_BYTES = 1 << 28
# What TensorFlow Lite Micro aligns its buffers to.
_STEP = 16


def least_arena(content: bytes) -> int:
    """Finds the least arena, in bytes, by trying.

    What the interpreter itself reports is what it keeps; preparing takes more for a while.
    """
    runtime.Interpreter.from_bytes(content, arena_size=_MOST_BYTES)
    too_small, enough = 0, _MOST_BYTES
    while enough - too_small > _STEP:
        size = (too_small + enough) // 2
        if _is_enough(content, size):
            enough = size
        else:
            too_small = size
    return enough


def _is_enough(content: bytes, size: int) -> bool:
    """Tries an arena in a process of its own: some that are a little too small end it."""
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
