"""Folders of TFLite files with their inputs, and the outputs that a processor gives for them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

SCRIPT = Path(__file__).with_name('run_files.py')
"""What runs the files of a folder, with Python and LiteRT on any processor."""

ON_THIS_MACHINE = (sys.executable, str(SCRIPT))
"""The command that runs `SCRIPT` on the processor of this machine."""


def write_job(folder: Path, name: str, content: bytes, inputs: Sequence[np.ndarray]) -> None:
    """Writes a file into a folder, with its inputs.

    Args:
        folder: The folder.
        name: What the file is called, without the ending.
        content: The bytes of the TFLite file.
        inputs: An array for each input of the file, `[runs, ...]`, in the file's order and types.
    """
    (folder / f'{name}.tflite').write_bytes(content)
    np.savez(folder / f'{name}.inputs.npz', *inputs)


def run_jobs(command: Sequence[str], folder: Path) -> dict[str, list[np.ndarray]]:
    """Runs all files of a folder.

    Args:
        command: What runs `SCRIPT`: `ON_THIS_MACHINE`, or a command of `processors.py`.
        folder: The folder that `write_job` wrote into. It gets further files.

    Returns:
        For each name of a file, an array for each output, `[runs, ...]`.

    Raises:
        RuntimeError: If the command fails.
    """
    for path in folder.glob('*.outputs.npz'):
        path.unlink()
    words = [*command, str(folder)]
    result = subprocess.run(words, capture_output=True, text=True, check=False)
    if result.returncode:
        raise RuntimeError(f'{" ".join(words)}: ended with {result.returncode}: {result.stderr}')
    outputs = {}
    for path in sorted(folder.glob('*.tflite')):
        with np.load(path.with_suffix('.outputs.npz')) as arrays:
            outputs[path.stem] = [arrays[name] for name in arrays.files]
    return outputs


def same_bits(one: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> bool:
    """Returns whether outputs are the same in type, shape and every bit."""
    return len(one) == len(other) and all(
        a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
        for a, b in zip(one, other, strict=True)
    )
