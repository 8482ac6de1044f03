"""Reads and writes PyTorch's checkpoint files without executing code from them."""

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
        path: A file that PyTorch saved: a state dict, or a dictionary with one under 'state_dict'.
        strict: As for `load_state_dict`.

    Returns:
        A report of the entries that were loaded and those that were not.

    Raises:
        FileNotFoundError: There is no such file.
        ImportError: PyTorch is not installed.
        ValueError: The file holds objects other than tensors and plain values, is damaged, or its
            entries do not fit (see `load_state_dict`).
    """
    return load_state_dict(model, read_pytorch(path), strict)


def read_pytorch(path: _Path) -> dict[str, np.ndarray]:
    """Reads the tensors of a PyTorch file.

    The file is a pickle, which in general may run any code. PyTorch's `weights_only` reader builds
    tensors and plain values and refuses everything else.

    Args:
        path: A file that PyTorch saved: a state dict, or a dictionary with one under 'state_dict'.

    Returns:
        `{name: array}`. Tensors of any floating dtype are float32 arrays.

    Raises:
        FileNotFoundError: There is no such file.
        ImportError: PyTorch is not installed.
        ValueError: The file is damaged or holds other objects, or a tensor is no plain array.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f'path: expected a PyTorch checkpoint file, got {os.fspath(path)!r}, which is no file. '
            'Give the path of one.'
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
        path: The file to write, usually `*.pth`. It must not exist yet, and its folder must.

    Raises:
        FileExistsError: The file exists.
        FileNotFoundError: The folder does not exist.
        ImportError: PyTorch is not installed.
        ValueError: As for `save_state_dict`.
    """
    if os.path.exists(path):
        raise FileExistsError(
            f'path: expected a new file, got {os.fspath(path)!r}, which exists. Remove it first.'
        )
    folder = os.path.dirname(os.fspath(path)) or '.'
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            f'path: expected a file in a folder that exists, got {os.fspath(path)!r}. Create the '
            f'folder {folder!r}.'
        )
    torch = _torch()
    tensors = {
        name: torch.from_numpy(value.copy()) for name, value in save_state_dict(model).items()
    }
    temporary = f'{os.fspath(path)}.tmp'
    try:
        torch.save(tensors, temporary)
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def _torch() -> Any:
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            'path: expected the package torch to read and write PyTorch files, which is not '
            'installed. '
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
        # PyTorch hides the cause behind the advice to turn the protection off.
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
