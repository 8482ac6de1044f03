"""Small datasets on disk: IDX folders and a TensorFlow Datasets builder."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

IDX_NAMES = (
    'train-images-idx3-ubyte',
    'train-labels-idx1-ubyte',
    't10k-images-idx3-ubyte',
    't10k-labels-idx1-ubyte',
)


def idx_bytes(array: np.ndarray) -> bytes:
    """Returns a uint8 array as an IDX file."""
    return struct.pack(f'>BBBB{array.ndim}I', 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture(scope='session')
def to_idx() -> Callable[[np.ndarray], bytes]:
    return idx_bytes


@pytest.fixture
def idx_arrays() -> dict[str, np.ndarray]:
    """Sixty training and twenty test images of 6×5 in three classes."""
    random = np.random.default_rng(1)
    sizes = ((60, 6, 5), (60,), (20, 6, 5), (20,))
    highest = (256, 3, 256, 3)
    arrays = (random.integers(0, h, s, np.uint8) for h, s in zip(highest, sizes, strict=True))
    return dict(zip(IDX_NAMES, arrays, strict=True))


@pytest.fixture
def idx_folder(tmp_path: Path, idx_arrays: dict[str, np.ndarray]) -> Path:
    """The arrays as files: images compressed, labels plain."""
    for name, array in idx_arrays.items():
        if 'images' in name:
            (tmp_path / f'{name}.gz').write_bytes(gzip.compress(idx_bytes(array)))
        else:
            (tmp_path / name).write_bytes(idx_bytes(array))
    return tmp_path


@pytest.fixture
def image_dir(tmp_path: Path) -> Path:
    """One class of six grey images for each split, of brightness 0, 30, 60 and so on."""
    for split in ('train', 'val'):
        (tmp_path / split / 'n01').mkdir(parents=True)
        for i in range(6):
            image = Image.new('RGB', (20, 20), (30 * i,) * 3)
            image.save(tmp_path / split / 'n01' / f'{i}.JPEG')
    return tmp_path
