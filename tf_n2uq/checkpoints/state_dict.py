"""Loads state dicts of N2UQ's published code and of torchvision, and saves the former."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import tf_keras as keras

from tf_n2uq.checkpoints.entries import Entry, Part, constants_of, entries_of
from tf_n2uq.checkpoints.torchvision import from_torchvision
from tf_n2uq.layers import RPReLU

_PARALLEL_PREFIX = 'module.'


@dataclasses.dataclass(frozen=True)
class LoadReport:
    """A report of the entries that `load_state_dict` loaded and those that it did not.

    Attributes:
        loaded: The names of the entries that went into the network.
        missing: The names that the network has and the state dict has not.
        unknown: The names that the state dict has and the network has not.
        misshapen: The names of entries that do not fit, each with both shapes or the reason.
        relu: Whether the state dict has no RPReLUs, so that the network's became ReLUs.
        uncalibrated: Whether the network has quantizers and the state dict has none, so that the
            quantizers kept their start values. `tf_n2uq.calibrate` sets them.
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unknown: tuple[str, ...]
    misshapen: tuple[str, ...]
    relu: bool
    uncalibrated: bool

    def __str__(self) -> str:
        lines = [f'{len(self.loaded)} entries loaded', *self.problems()]
        if self.relu:
            lines.append('no RPReLU in the state dict: the RPReLUs of the network are ReLUs now')
        if self.uncalibrated:
            lines.append('no quantizer in the state dict: the quantizers have their start values')
        return '\n'.join(lines)

    def problems(self) -> list[str]:
        """Returns the lines about entries that were not loaded, under a heading for each kind."""
        lines = []
        for title in ('missing', 'unknown', 'misshapen'):
            names = getattr(self, title)
            if names:
                lines += [f'{len(names)} {title}:', *(f'  {name}' for name in names)]
        return lines


def load_state_dict(
    model: keras.Model, mapping: Mapping[str, Any], strict: bool = True
) -> LoadReport:
    """Sets a network's variables from a published state dict.

    The function takes the state dict of N2UQ's published networks, quantized or float, and that of
    torchvision for the same ResNet or MobileNetV2. Names may carry the prefix `module.`. Parts that
    a float state dict cannot have may be missing as a whole. Without RPReLUs in the state dict the
    network's RPReLUs become ReLUs, so that a float ResNet computes what torchvision's computes.
    Without quantizers in the state dict the network's quantizers keep their start values. Constants
    of the published modules, and `num_batches_tracked`, are passed over.

    Nothing is changed if an error is raised.

    Args:
        model: A network that N2UQ publishes, from `tf_n2uq.models.build`: a ResNet for ImageNet or
            `mobilenet_v2`, float or quantized.
        mapping: `{name: array}` with NumPy arrays in PyTorch's layout, kernels OIHW.
        strict: Whether every entry has to find its place. If False, entries without one are
            skipped.

    Returns:
        A report of the entries that were loaded and those that were not.

    Raises:
        TypeError: `mapping` is not a dictionary with names as keys.
        ValueError: The network has layers without a published name; a name is there both with and
            without the prefix; or `strict` is given and entries are missing, unknown, misshapen or
            not finite, all of which are listed.
    """
    arrays = from_torchvision(_without_prefix(mapping))
    quantized_downsample = any('.downsample.2.' in name for name in arrays)
    entries = {entry.name: entry for entry in entries_of(model, quantized_downsample)}
    has = {part: any(e.part is part and n in arrays for n, e in entries.items()) for part in Part}
    needed = {name: entry for name, entry in entries.items() if has[entry.part]}
    constants = constants_of(model, quantized_downsample)
    values, misshapen = _converted(needed, arrays)
    report = LoadReport(
        loaded=tuple(values),
        missing=tuple(name for name in needed if name not in arrays),
        unknown=tuple(name for name in arrays if name not in entries and name not in constants),
        misshapen=tuple(misshapen),
        relu=not has[Part.RPRELU] and any(e.part is Part.RPRELU for e in entries.values()),
        uncalibrated=not has[Part.QUANTIZER]
        and any(e.part is Part.QUANTIZER for e in entries.values()),
    )
    if strict and (problems := report.problems()):
        listed = '\n'.join(problems)
        raise ValueError(
            f'mapping: expected the state dict of {model.name!r}. Pass strict=False to load what '
            f'fits; nothing was loaded. Of its entries\n{listed}'
        )
    for name, value in values.items():
        entries[name].variable.assign(value)
    if report.relu:
        _make_relu(model)
    return report


def save_state_dict(model: keras.Model) -> dict[str, np.ndarray]:
    """Returns a network's variables under the names and in the layout of the published code.

    Args:
        model: As for `load_state_dict`.

    Returns:
        `{name: array}`, float32, with the constants of the published modules. 8-bit ranges are
        left out, because the published code has none.

    Raises:
        ValueError: The network has layers without a published name.
    """
    quantized_downsample = any(
        layer.name.endswith('_downsample_thresholds') for layer in model.layers
    )
    values = {
        entry.name: np.ascontiguousarray(entry.to_published(entry.variable.numpy()))
        for entry in entries_of(model, quantized_downsample)
    }
    return {**values, **constants_of(model, quantized_downsample)}


def _without_prefix(mapping: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(mapping, Mapping) or not all(isinstance(name, str) for name in mapping):
        raise TypeError(
            f'mapping: expected a dictionary {{name: array}}, got {type(mapping).__name__}. Give '
            "the state dict, which a training checkpoint has under its key 'state_dict'."
        )
    stripped = {name.removeprefix(_PARALLEL_PREFIX): value for name, value in mapping.items()}
    if len(stripped) < len(mapping):
        twice = [name for name in mapping if f'{_PARALLEL_PREFIX}{name}' in mapping]
        raise ValueError(
            f'mapping: expected each name once, got {twice} both with and without the prefix '
            f'{_PARALLEL_PREFIX!r}. Remove one of the two.'
        )
    return stripped


def _converted(
    entries: Mapping[str, Entry], arrays: Mapping[str, Any]
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Returns the new values of variables, and a line for each array that does not fit."""
    values, misshapen = {}, []
    for name, entry in entries.items():
        if name not in arrays:
            continue
        array = np.asarray(arrays[name])
        if array.dtype.kind not in 'fiu':
            misshapen.append(f'{name}: expected numbers, got {array.dtype}')
        elif array.shape != entry.shape:
            expected, got = list(entry.shape), list(array.shape)
            misshapen.append(f'{name}: expected shape {expected}, got {got}')
        elif not np.all(np.isfinite(array)):
            misshapen.append(f'{name}: expected finite values, got NaN or Inf')
        else:
            values[name] = entry.to_keras(array.astype(np.float32))
    return values, misshapen


def _make_relu(model: keras.Model) -> None:
    for layer in model.layers:
        if isinstance(layer, RPReLU):
            for variable in (layer.bias_in, layer.slope, layer.bias_out):
                variable.assign(np.zeros(variable.shape, np.float32))
