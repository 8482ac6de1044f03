"""Renames torchvision's entries of MobileNetV2 to those of N2UQ's published code.

torchvision's ResNets have the names of N2UQ's published code already.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

_ENDS = re.compile(r'features\.(0|18)\.(0|1)\.(\w+)')
_BLOCK = re.compile(r'features\.(\d+)\.conv\.(\d(?:\.\d)?)\.(\w+)')
_CLASSIFIER = re.compile(r'classifier\.1\.(\w+)')
_EXPANDING = {
    '0.0': 'conv1',
    '0.1': 'bn1',
    '1.0': 'conv2',
    '1.1': 'bn2',
    '2': 'conv3',
    '3': 'bn3',
}
# The first block of torchvision's network does not expand, so that it has one convolution less.
_FIRST = {'0.0': 'conv2', '0.1': 'bn2', '1': 'conv3', '2': 'bn3'}
_NORMALIZATION_EPSILON = 1e-5


def from_torchvision(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Renames torchvision's entries of MobileNetV2, and leaves every other state dict as it is.

    N2UQ's first block has a 1×1 convolution that torchvision's first block lacks. The convolution
    becomes the identity.

    Args:
        arrays: A state dict, `{name: array}`.

    Returns:
        The state dict with N2UQ's names.
    """
    if 'features.0.0.weight' not in arrays:
        return dict(arrays)
    renamed = {_renamed(name): value for name, value in arrays.items()}
    # A kernel without axes is refused later, with all entries that do not fit.
    channels = np.shape(renamed['feature.0.conv1.weight'])[:1]
    return {**renamed, **_identity('feature.1', *channels)} if channels else renamed


def _renamed(name: str) -> str:
    if match := _ENDS.fullmatch(name):
        block, number, leaf = match.groups()
        return f'feature.{block}.{"conv1" if number == "0" else "bn1"}.{leaf}'
    if match := _BLOCK.fullmatch(name):
        block, place, leaf = match.groups()
        names = _FIRST if block == '1' else _EXPANDING
        return f'feature.{block}.{names[place]}.{leaf}' if place in names else name
    if match := _CLASSIFIER.fullmatch(name):
        return f'fc.{match[1]}'
    return name


def _identity(block: str, channels: int) -> dict[str, np.ndarray]:
    one, zero = np.ones([channels], np.float32), np.zeros([channels], np.float32)
    return {
        f'{block}.conv1.weight': np.eye(channels, dtype=np.float32)[:, :, None, None],
        f'{block}.bn1.weight': one,
        f'{block}.bn1.bias': zero,
        f'{block}.bn1.running_mean': zero,
        f'{block}.bn1.running_var': one - np.float32(_NORMALIZATION_EPSILON),
    }
