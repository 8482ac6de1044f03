r"""Time to build a published network, and to save and load its checkpoint.

    python benchmarks/published_networks.py --network resnet50 --bits 3 --rounds 5

A round builds the float network and the quantized one (`quantize_apply` included), takes the
quantized one's values out as a state dict and puts them in again, and does both with a PyTorch
file in a temporary folder. The first round also pays what a process pays once, such as importing
PyTorch: it has columns of its own; the others are medians of the rounds after it. CPU time
is of all threads together: unlike wall time it hardly depends on what else the machine does.
"""

from __future__ import annotations

import os

os.environ.setdefault('TF_CPP_MIN_LOG_LEVEL', '2')

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras as keras
from absl import app, flags
from measuring import time_in_turns

from tf_n2uq import checkpoints, models

_NETWORK = flags.DEFINE_string('network', 'resnet50', 'A network of `tf_n2uq.models.build`.')
_BITS = flags.DEFINE_integer('bits', 3, 'Its bit-width, quantized.', 2, 8)
_ROUNDS = flags.DEFINE_integer('rounds', 5, 'Timed rounds after the first.', lower_bound=1)


class Checkpoint:
    """One network's way into a file and back, step by step, again in each round."""

    def __init__(self, network: str, bits: int, path: Path) -> None:
        """Does nothing yet.

        Args:
            network: its name.
            bits: its bit-width, quantized.
            path: of the PyTorch file; there is none yet.
        """
        self._network = network
        self._bits = bits
        self._path = path
        self._model: Any = None
        self._state: dict[str, np.ndarray] = {}

    def build(self) -> None:
        """Builds the float network, as the first step of a round."""
        # Otherwise Keras' memory of layer names grows from round to round.
        keras.backend.clear_session()
        self._path.unlink(missing_ok=True)
        models.build(self._network)

    def build_quantized(self) -> None:
        """Builds the network that the other steps are about."""
        self._model = models.build(self._network, self._bits)

    def save_state_dict(self) -> None:
        """Takes its values out."""
        self._state = checkpoints.save_state_dict(self._model)

    def load_state_dict(self) -> None:
        """Puts them in."""
        checkpoints.load_state_dict(self._model, self._state)

    def save_pytorch(self) -> None:
        """Writes the file."""
        checkpoints.save_pytorch(self._model, self._path)

    def load_pytorch(self) -> None:
        """Reads the file."""
        checkpoints.load_pytorch(self._model, self._path)


def print_table(samples: Mapping[str, np.ndarray]) -> None:
    """Prints a line for each step.

    Args:
        samples: wall and CPU seconds by step, `[rounds, 2]`.
    """
    print(f'{"":24}{"first round":>20}{f"median of {_ROUNDS.value}":>20}')
    print(f'{"":24}{"wall s":>10}{"CPU s":>10}{"wall s":>10}{"CPU s":>10}')
    for name, rounds in samples.items():
        seconds = (*rounds[0], *np.median(rounds[1:], axis=0))
        print(f'{name:24}' + ''.join(f'{second:10.2f}' for second in seconds))


def main(argv: list[str]) -> None:
    """Runs the benchmark."""
    if len(argv) > 1:
        raise app.UsageError(f'unexpected arguments {argv[1:]}; options start with --')
    network, bits = _NETWORK.value, _BITS.value
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Checkpoint(network, bits, Path(folder) / 'network.pth')
        steps = {
            f'build({network!r})': checkpoint.build,
            f'build({network!r}, {bits})': checkpoint.build_quantized,
            'save_state_dict': checkpoint.save_state_dict,
            'load_state_dict': checkpoint.load_state_dict,
            'save_pytorch': checkpoint.save_pytorch,
            'load_pytorch': checkpoint.load_pytorch,
        }
        print_table(time_in_turns(steps, rounds=1 + _ROUNDS.value, warm_up=0))


if __name__ == '__main__':
    app.run(main)
