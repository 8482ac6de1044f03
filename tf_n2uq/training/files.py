"""Files of a run: folders that can be written, and files that are replaced as a whole."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable


def writable_folder(path: str | os.PathLike[str], name: str) -> str:
    """Creates a folder if it is not there, and proves that a file can be written in it.

    Args:
        path: The folder.
        name: The name of the user's argument, for the error.

    Returns:
        `path` as a string.

    Raises:
        TypeError: `path` is not a path.
        OSError: The folder cannot be created or written.
    """
    if not isinstance(path, (str, os.PathLike)) or isinstance(os.fspath(path), bytes):
        raise TypeError(
            f'{name}: expected the path of a folder, got {path!r}. Give a string or a Path.'
        )
    folder = os.fspath(path)
    try:
        os.makedirs(folder, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(
            f'{name}: expected a folder that can be written, got {folder!r}: '
            f'{error.strerror or error}. Give another folder, or the right to write in this one.'
        ) from error
    return folder


def replace_file(path: str, write: Callable[[str], object], suffix: str = '') -> None:
    """Creates or replaces a file, so that nobody ever sees half of it.

    A temporary file beside it is written first, and then renamed.

    Args:
        path: The file to create or replace.
        write: A function that writes the file whose path it gets. The path is temporary.
        suffix: The ending of the temporary name, for a function that chooses the format by it.
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
    """Creates or replaces a file at once, see `replace_file`.

    Args:
        path: The file to create or replace.
        content: The content of the file.
    """

    def write(temporary: str) -> None:
        with open(temporary, 'wb') as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())

    replace_file(path, write)


def replace_text(path: str, text: str) -> None:
    """Creates or replaces a file of UTF-8 text at once, see `replace_file`.

    Args:
        path: The file to create or replace.
        text: The content of the file.
    """
    replace_bytes(path, text.encode())
