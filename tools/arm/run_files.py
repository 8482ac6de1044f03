"""Runs the TFLite files of a folder, on whatever processor this Python runs.

    python tools/arm/run_files.py [--count] folder

For each `name.tflite` there is a `name.inputs.npz`, as `numpy.savez` writes it: an array for each
input, which stacks the values of all runs along a first axis. The script writes `name.outputs.npz`
in the same form. It needs NumPy and LiteRT alone, since the ARM machine has no more.

With `--count`, the script repeats the last run of each file between two system calls that no
interpreter makes, for a plugin of QEMU to see. It also writes where the libraries lie in memory, as
`name.maps`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter


def run(path: Path, count: bool) -> None:
    """Runs a file on its inputs, on one thread."""
    inputs = np.load(path.with_suffix('.inputs.npz'))
    interpreter = Interpreter(model_content=path.read_bytes(), num_threads=1)
    interpreter.allocate_tensors()
    into = [details['index'] for details in interpreter.get_input_details()]
    outof = [details['index'] for details in interpreter.get_output_details()]
    stacks = [inputs[name] for name in inputs.files]
    runs = []
    for values in zip(*stacks, strict=True):
        for index, value in zip(into, values, strict=True):
            interpreter.set_tensor(index, value)
        interpreter.invoke()
        runs.append([interpreter.get_tensor(index) for index in outof])
    if count:
        os.sched_get_priority_max(os.SCHED_OTHER)
        interpreter.invoke()
        os.sched_get_priority_min(os.SCHED_OTHER)
        path.with_suffix('.maps').write_text(Path('/proc/self/maps').read_text())
    outputs = [np.stack(each) for each in zip(*runs, strict=True)]
    np.savez(path.with_suffix('.outputs.npz'), *outputs)


def main(arguments: list[str]) -> None:
    """Runs all files of the folder."""
    *options, folder = arguments
    for path in sorted(Path(folder).glob('*.tflite')):
        run(path, '--count' in options)


if __name__ == '__main__':
    main(sys.argv[1:])
