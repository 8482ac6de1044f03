"""Reads and writes PyTorch's checkpoint files without executing what stands in them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import tf_keras as keras

from tf_n2uq.checkpoints.state_dict import LoadReport, load_state_dict, save_state_dict

_Path = str | os.PathLike[str]


def load_pytorch(model: keras.Model, path: _Path, strict: bool = True) -> LoadReport:
    """Loads a `.pth` or `.pth.tar` file into a network.

    Args:
        model: As for `load_state_dict`.
        path: File that PyTorch saved: a state dict, or a dict with one under 'state_dict'.
        strict: As for `load_state_dict`.

    Returns:
        What was loaded and what was not.

    Raises:
        FileNotFoundError: There is no such file.
        ImportError: PyTorch is not installed.
        ValueError: The file holds anything but tensors and plain values, is damaged, or its
            entries do not fit (see `load_state_dict`).
    """
    return load_state_dict(model, read_pytorch(path), strict)


def read_pytorch(path: _Path) -> dict[str, np.ndarray]:
    """Reads the tensors of a PyTorch file.

    The file is a pickle, which in general may run any code; PyTorch's `weights_only` reader builds
    tensors and plain values and refuses everything else.

    Args:
        path: File that PyTorch saved: a state dict, or a dict with one under 'state_dict'.

    Returns:
        `{name: array}`; floating point tensors as float32.

    Raises:
        FileNotFoundError: There is no such file.
        ImportError: PyTorch is not installed.
        ValueError: The file is damaged or holds something else, or a tensor is no plain array.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f'path: expected a PyTorch checkpoint file, got {os.fspath(path)!r}.'
        )
    content = _content(path)
    if isinstance(content, Mapping) and isinstance(content.get('state_dict'), Mapping):
        content = content['state_dict']
    if not isinstance(content, Mapping) or not content or not all(map(_is_entry, content.items())):
        raise ValueError(
            f"path: expected a state dict, or a dict with one under 'state_dict', got "
            f'{_described(content)} in {os.fspath(path)!r}. Save the network with PyTorch as '
            'torch.save(model.state_dict(), path).'
        )
    return {name: _array(name, tensor) for name, tensor in content.items()}


def save_pytorch(model: keras.Model, path: _Path) -> None:
    """Writes a network's state dict as a file for PyTorch.

    Args:
        model: As for `save_state_dict`.
        path: File to write, usually `*.pth`; it must not exist yet.

    Raises:
        FileExistsError: The file exists.
        ImportError: PyTorch is not installed.
        ValueError: As for `save_state_dict`.
    """
    if os.path.exists(path):
        raise FileExistsError(
            f'path: expected a new file, got {os.fspath(path)!r}, which exists. Remove it first.'
        )
    torch = _torch()
    tensors = {
        name: torch.from_numpy(value.copy()) for name, value in save_state_dict(model).items()
    }
    temporary = f'{os.fspath(path)}.tmp'
    torch.save(tensors, temporary)
    os.replace(temporary, path)


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            'path: PyTorch files are read and written with PyTorch, which is not installed. '
            "Install it with: pip install 'tf_n2uq[pytorch]'"
        ) from error
    return torch


def _content(path: _Path) -> Any:
    torch = _torch()
    try:
        return torch.load(path, map_location='cpu', weights_only=True)
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a damaged file can fail anywhere in PyTorch's reader
        # PyTorch hides what went wrong behind the advice to turn the protection off.
        reason = error.__context__ if error.__suppress_context__ else error
        raise ValueError(
            f'path: expected a PyTorch file of tensors and plain values, got {os.fspath(path)!r}, '
            'which holds other objects or is damaged. It was not executed. If you trust it, save '
            f'its state_dict() alone with PyTorch. PyTorch says: {type(reason).__name__}: '
            f'{reason}'
        ) from error


def _is_entry(item: tuple[Any, Any]) -> bool:
    name, value = item
    return isinstance(name, str) and _torch().is_tensor(value)


def _array(name: str, tensor: Any) -> np.ndarray:
    tensor = tensor.detach()
    try:
        return (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    except (TypeError, RuntimeError) as error:
        raise ValueError(
            f'path: expected plain tensors, got {name!r} as {tensor.dtype}, {tensor.layout}. Save '
            f'it as a dense tensor of floats. PyTorch says: {error}'
        ) from error


def _described(content: Any) -> str:
    if not isinstance(content, Mapping):
        return f'a {type(content).__name__}'
    return f'a dict with the keys {", ".join(map(repr, list(content)[:5]))}' if content else '{}'
