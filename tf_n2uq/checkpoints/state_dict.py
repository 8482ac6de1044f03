"""State dicts of N2UQ's published code, and torchvision's, into our networks and back."""

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
    """What `load_state_dict` did.

    Attributes:
        loaded: Names of the entries that went into the network.
        missing: Names that the network has and the state dict has not.
        unknown: Names that the state dict has and the network has not.
        misshapen: Names whose values do not fit, with both shapes or the reason.
        relu: Whether the state dict has no RPReLUs, so that they became ReLUs.
        uncalibrated: Whether the network has quantizers and the state dict has none, so that
            they kept their start values: call `tf_n2uq.calibrate`.
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
            lines.append('no RPReLU in the state dict: they are ReLUs now')
        if self.uncalibrated:
            lines.append('no quantizer in the state dict: they have their start values')
        return '\n'.join(lines)

    def problems(self) -> list[str]:
        """Returns a heading and the names, line by line, for each kind of entry that is there."""
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

    Takes the state dict of N2UQ's published networks, quantized or float, and torchvision's of the
    same ResNet or MobileNetV2. Names may carry the prefix `module.`. What a float state dict cannot
    have stays out of the way: without RPReLUs in it, the network's become ReLUs (a float ResNet
    then computes what torchvision's does); without quantizers in it, the network's keep their start
    values. Constants of the published modules, and `num_batches_tracked`, are passed over.

    Nothing is changed if an error is raised.

    Args:
        model: A network of `tf_n2uq.models.build` (but `resnet20` and `resnet8`), float or
            quantized.
        mapping: `{name: array}`: NumPy arrays in PyTorch's layout, kernels OIHW.
        strict: Whether every entry has to find its place. If False, what does not is skipped.

    Returns:
        What was loaded and what was not.

    Raises:
        ValueError: The network has layers without a published name; or, `strict`, listing
            all entries that are missing, unknown, misshapen or not finite.
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
    """Returns a network's variables under the names, and in the layout, of the published code.

    Args:
        model: A network of `tf_n2uq.models.build` (but `resnet20` and `resnet8`), float or
            quantized.

    Returns:
        `{name: array}`, float32, the constants of the published modules included. 8-bit ranges
        have no place in it.

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
            f'mapping: expected a dict {{name: array}}, got {type(mapping).__name__}. The state '
            "dict of a training checkpoint stands under its key 'state_dict'."
        )
    return {name.removeprefix(_PARALLEL_PREFIX): value for name, value in mapping.items()}


def _converted(
    entries: Mapping[str, Entry], arrays: Mapping[str, Any]
) -> tuple[dict[str, np.ndarray], list[str]]:
    """Returns the new values of variables, and a line for each array that cannot be one."""
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
