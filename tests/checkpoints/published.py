"""State dicts with the names and shapes of published checkpoints, and values made from the names.

Agreement needs the same values on both sides, not trained ones: the reference results were computed
with these.
"""

from __future__ import annotations

import dataclasses
import json
import zlib
from pathlib import Path
from typing import Any

import numpy as np

REFERENCE = Path(__file__).resolve().parents[1] / 'data' / 'reference'
NETWORKS = ('resnet18_w2a2_all', 'resnet18_w4a4_fpdown', 'resnet50_w3a3_all', 'mobilenet_v2_w4a4')
_CONSTANTS = {'two': 2.0, 'one': 1.0, 'zero': 0.0, 'minusone': -1.0, 'eps': 1e-3, 'clip_val': 2.0}


@dataclasses.dataclass(frozen=True)
class Published:
    """A published network and what its own code computes, in float64.

    Attributes:
        specification: `architecture`, `bits`, `quantize_downsample`, `state_dict` (shapes).
        results: arrays by name, see the reference data's README.
    """

    specification: dict[str, Any]
    results: Any

    @classmethod
    def read(cls, name: str) -> Published:
        specification = json.loads((REFERENCE / f'{name}.json').read_text())
        return cls(specification, np.load(REFERENCE / f'{name}.npz'))

    def state_dict(self) -> dict[str, np.ndarray]:
        bits, salt = self.specification['bits'], int(self.results['salt'])
        shapes = self.specification['state_dict']
        return {name: _values(name, tuple(shape), bits, salt) for name, shape in shapes.items()}

    def images(self) -> np.ndarray:
        """NHWC."""
        generator = np.random.default_rng(int(self.results['input_seed']))
        images = generator.standard_normal((2, 3, 224, 224)).astype(np.float32)
        return np.ascontiguousarray(images.transpose(0, 2, 3, 1))

    def loss_weights(self) -> np.ndarray:
        generator = np.random.default_rng(int(self.results['input_seed']) + 1)
        return generator.standard_normal(self.results['logits'].shape).astype(np.float32)


def _values(name: str, shape: tuple[int, ...], bits: int, salt: int) -> np.ndarray:
    leaf = name.rsplit('.', 1)[-1]
    if leaf in _CONSTANTS:
        return np.full(shape, _CONSTANTS[leaf], np.float32)
    if leaf == 'num_batches_tracked':
        return np.zeros(shape, np.int64)
    generator = np.random.default_rng(zlib.crc32(name.encode()) + salt)
    uniform = leaf in ('a', 'running_var')
    drawn = generator.random(shape) if uniform else generator.standard_normal(shape)
    offset, factor = _offset_and_factor(name, leaf, shape, bits)
    return (offset + factor * drawn).astype(np.float32)


def _offset_and_factor(
    name: str, leaf: str, shape: tuple[int, ...], bits: int
) -> tuple[float, float]:
    by_leaf = {
        'start': (0.0, 0.05),
        'a': (1 / (2**bits - 1), 2 / (2**bits - 1)),
        'scale1': (1.0, 0.1),
        'scale2': (1.0, 0.1),
        'running_mean': (0.0, 0.2),
        'running_var': (0.5, 1.0),
    }
    if leaf in by_leaf:
        return by_leaf[leaf]
    if len(shape) == 4:
        return 0.0, 0.1 if leaf == 'bias' else float(np.sqrt(2.0 / np.prod(shape[1:])))
    if len(shape) == 2:
        return 0.0, 0.05
    if 'prelu' in name:
        return 0.25, 0.1
    return (1.0 if leaf == 'weight' else 0.0), 0.2
