"""Files of a run: checked folders, and writing that leaves the old file or the new one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable


def writable_folder(path: str | os.PathLike[str], name: str) -> str:
    """Creates the folder `path` if it is not there, and proves that a file can be written in it.

    Args:
        path: The folder.
        name: What the caller's argument is called, for the error.

    Returns:
        `path` as a string.

    Raises:
        TypeError: `path` is not a path.
        OSError: The folder cannot be created or written.
    """
    if not isinstance(path, (str, os.PathLike)) or isinstance(os.fspath(path), bytes):
        raise TypeError(f'`{name}` must be the path of a folder, got {path!r}.')
    folder = os.fspath(path)
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(
            f'`{name}` must be a folder that can be written, got {folder!r}: '
            f'{error.strerror or error}. Give another folder, or the right to write in this one.'
        ) from error
    return folder


def replace_file(path: str, write: Callable[[str], object], suffix: str = '') -> None:
    """Has `write` write a temporary file beside `path`, then renames it to `path`.

    Args:
        path: The file to create or replace.
        write: Called with the temporary file's name.
        suffix: How the temporary name must end, where `write` chooses the format by it.
    """
    folder, name = os.path.split(path)
    # Always the same name: what a killed process left behind is overwritten by the next one.
    temporary = os.path.join(folder, f'.{name}.tmp{suffix}')
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def replace_bytes(path: str, content: bytes) -> None:
    """Writes `content` to `path`, replacing the whole file at once."""

    def write(temporary: str) -> None:
        with open(temporary, 'wb') as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    replace_file(path, write)


def replace_text(path: str, text: str) -> None:
    """Writes `text` as UTF-8 to `path`, replacing the whole file at once."""
    replace_bytes(path, text.encode())
