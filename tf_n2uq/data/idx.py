"""Reads IDX files, the form of MNIST and Fashion-MNIST.

A file consists of two zero bytes, a type code, the number of dimensions, one big-endian 32-bit
size per dimension, and the values in row-major order.

The files are not trusted: sizes are checked before memory of that size is allocated.

Source: Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", section
"File formats".
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import IO

import numpy as np

_File = IO[bytes] | gzip.GzipFile

_UNSIGNED_BYTE = 0x08
_MAX_BYTES = 4 * 1024**3
_CHUNK = 1024**2
_FILES = {
    'train_images': 'train-images-idx3-ubyte',
    'train_labels': 'train-labels-idx1-ubyte',
    'test_images': 't10k-images-idx3-ubyte',
    'test_labels': 't10k-labels-idx1-ubyte',
}


def read_idx(path: str | Path, dimensions: int) -> np.ndarray:
    """Reads one IDX file of unsigned bytes.

    Args:
        path: The file. A file whose name ends in `.gz` is decompressed.
        dimensions: The number of dimensions that the file must have.

    Returns:
        A read-only uint8 array with that number of dimensions.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is not an IDX file of unsigned bytes with `dimensions` non-zero sizes,
            is truncated, damaged or longer than its header says, or holds more than 4 GiB.
    """
    path = Path(path)
    if path.suffix != '.gz':
        with path.open('rb') as file:
            return _read(path, file, dimensions, path.stat().st_size)
    try:
        with gzip.open(path, 'rb') as file:
            return _read(path, file, dimensions, None)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(
            f'{path}: expected a complete gzip file, got a damaged or truncated one ({error}). '
            'Get the file again.'
        ) from error


def read_idx_folder(data_dir: str | Path) -> dict[str, np.ndarray]:
    """Reads the four IDX files of an image classification dataset.

    Args:
        data_dir: The folder with the four files under MNIST's names, each plain or with `.gz`.

    Returns:
        `train_images` and `test_images`, uint8 `[n, height, width]`; `train_labels` and
        `test_labels`, uint8 `[n]`.

    Raises:
        FileNotFoundError: The folder or one of the files is missing.
        OSError: A file cannot be read.
        ValueError: A file is not what `read_idx` expects, images and labels differ in
            number, or training and test images in size.
    """
    paths = {key: _find(Path(data_dir), name) for key, name in _FILES.items()}
    arrays = {key: read_idx(path, 3 if 'images' in key else 1) for key, path in paths.items()}
    for split in ('train', 'test'):
        images, labels = arrays[f'{split}_images'], arrays[f'{split}_labels']
        if len(images) != len(labels):
            raise ValueError(
                f'{paths[f"{split}_labels"]}: expected {len(images)} labels, one for each image '
                f'in {paths[f"{split}_images"].name}, got {len(labels)}. Get both files again.'
            )
    train_size, test_size = arrays['train_images'].shape[1:], arrays['test_images'].shape[1:]
    if train_size != test_size:
        raise ValueError(
            f'{paths["test_images"]}: expected images of {train_size[0]}×{train_size[1]} as in '
            f'{paths["train_images"].name}, got {test_size[0]}×{test_size[1]}. Give files of one '
            'dataset.'
        )
    return arrays


def _find(folder: Path, name: str) -> Path:
    for candidate in (folder / name, folder / f'{name}.gz'):
        if candidate.is_file():
            return candidate
    expected = ', '.join(_FILES.values())
    if not folder.is_dir():
        raise FileNotFoundError(
            f'data_dir: expected a folder with the files {expected} (each plain or .gz), '
            f'got {str(folder)!r}, which is not a folder. Give the folder of the files.'
        )
    raise FileNotFoundError(
        f'data_dir: expected the files {expected} (each plain or .gz) in {str(folder)!r}, '
        f'got none with the name {name}. Put it there.'
    )


def _read(path: Path, file: _File, dimensions: int, file_bytes: int | None) -> np.ndarray:
    """Reads header and values.

    `file_bytes` is the size of the content, or None if the content is compressed.
    """
    shape = _read_header(path, file, dimensions)
    expected = math.prod(shape)
    sizes = '×'.join(map(str, shape))
    if expected > _MAX_BYTES:
        raise ValueError(
            f'{path}: expected at most {_MAX_BYTES} values, got a header that says {sizes} = '
            f'{expected}. Get the file again, or give a dataset of small images.'
        )
    header_bytes = 4 + 4 * dimensions
    if file_bytes is None:
        # Compressed: one value more than expected is enough to see that the file is too long.
        values = _read_up_to(file, expected + 1)
        found, more = len(values), ' or more' if len(values) > expected else ''
    else:
        found, more = file_bytes - header_bytes, ''
        values = _read_up_to(file, expected) if found == expected else bytearray()
        found = len(values) if found == expected else found
    if found != expected:
        state = 'truncated' if found < expected else 'longer than its header says'
        raise ValueError(
            f'{path}: expected {expected} values ({sizes}) after the header, got {found}{more}: '
            f'the file is {state}. Get it again.'
        )
    array = np.frombuffer(values, np.uint8).reshape(shape)
    array.flags.writeable = False
    return array


def _read_header(path: Path, file: _File, dimensions: int) -> tuple[int, ...]:
    magic = bytes((0, 0, _UNSIGNED_BYTE, dimensions))
    found = file.read(4)
    if found != magic:
        raise ValueError(
            f'{path}: expected an IDX file of unsigned bytes with {dimensions} dimension(s), '
            f'which starts with the bytes {magic.hex(" ")}, got {found.hex(" ") or "nothing"}. '
            'Give another file.'
        )
    sizes = file.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise ValueError(
            f'{path}: expected {4 * dimensions} bytes with the sizes of {dimensions} '
            f'dimension(s), got {len(sizes)}: the file is truncated. Get it again.'
        )
    shape = tuple(int(size) for size in np.frombuffer(sizes, '>u4'))
    if 0 in shape:
        raise ValueError(
            f'{path}: expected sizes above zero, got {"×".join(map(str, shape))}, which is no '
            'data. Get the file again.'
        )
    return shape


def _read_up_to(file: _File, count: int) -> bytearray:
    """Reads at most `count` bytes in pieces, so that a false header allocates no memory."""
    values = bytearray()
    while len(values) < count:
        piece = file.read(min(_CHUNK, count - len(values)))
        if not piece:
            break
        values += piece
    return values
