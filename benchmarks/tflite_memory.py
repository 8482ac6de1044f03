"""Memory that a TFLite file takes to run, in a process that does nothing else.

    python benchmarks/tflite_memory.py model.tflite

Prints by how many bytes loading the file, preparing it and running it once on one thread raise the
peak of the resident set above what the process has with the interpreter's library imported (Linux),
and the peak itself. The file's own bytes are part of both.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ai_edge_litert.interpreter import Interpreter
from measuring import memory_of_calls


def run_once(path: Path) -> None:
    """Loads a file and runs it on zeros."""
    interpreter = Interpreter(model_content=path.read_bytes(), num_threads=1)
    interpreter.allocate_tensors()
    interpreter.invoke()


if __name__ == '__main__':
    print(*memory_of_calls(lambda: run_once(Path(sys.argv[1])), calls=1))
