from __future__ import annotations

import contextlib
import gzip
import re
import struct
import tracemalloc
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from tf_n2uq.data.idx import read_idx, read_idx_folder

ARRAYS = npst.arrays(np.uint8, npst.array_shapes(min_dims=1, max_dims=4, max_side=6))
LABELS = np.arange(7, dtype=np.uint8)


@hypothesis.given(array=ARRAYS, compressed=st.booleans())
def test_what_was_written_is_read(tmp_path_factory, to_idx, array, compressed):
    path = tmp_path_factory.mktemp('idx') / ('file.gz' if compressed else 'file')
    path.write_bytes(gzip.compress(to_idx(array)) if compressed else to_idx(array))
    read = read_idx(path, array.ndim)
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, array)
    assert not read.flags.writeable


@hypothesis.given(array=ARRAYS, data=st.data())
def test_every_truncation_is_refused(tmp_path_factory, to_idx, array, data):
    content = to_idx(array)
    content = content[: data.draw(st.integers(0, len(content) - 1))]
    folder = tmp_path_factory.mktemp('idx')
    (folder / 'plain').write_bytes(content)
    (folder / 'compressed.gz').write_bytes(gzip.compress(content))
    for name in ('plain', 'compressed.gz'):
        with pytest.raises(ValueError, match=f'{name}: expected .*, got '):
            read_idx(folder / name, array.ndim)


@hypothesis.given(content=st.binary(max_size=64), dimensions=st.integers(1, 3))
def test_any_bytes_give_an_array_or_a_value_error(tmp_path_factory, content, dimensions):
    folder = tmp_path_factory.mktemp('idx')
    magic = bytes((0, 0, 8, dimensions))
    for name, written in (('a', content), ('b', magic + content), ('c.gz', content)):
        (folder / name).write_bytes(written)
        with contextlib.suppress(ValueError):
            assert read_idx(folder / name, dimensions).size > 0


@pytest.mark.parametrize('compress', [bytes, gzip.compress])
def test_trailing_bytes_are_refused(tmp_path: Path, to_idx, compress):
    path = tmp_path / ('labels.gz' if compress is gzip.compress else 'labels')
    path.write_bytes(compress(to_idx(LABELS) + b'\0\0'))
    with pytest.raises(ValueError, match=r'expected 7 values .* got [89].* longer than its header'):
        read_idx(path, 1)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'starts with the bytes 00 00 08 01, got nothing'),
        (b'\x00\x00\x0d\x01' + struct.pack('>If', 1, 1.0), 'got 00 00 0d 01'),
        (b'\x00\x00\x08\x03' + struct.pack('>III', 1, 1, 1) + b'x', 'got 00 00 08 03'),
        (b'\x89PNG\r\n', 'got 89 50 4e 47'),
        (b'\x00\x00\x08\x01\x00\x00', r'sizes of 1 dimension\(s\), got 2'),
        (b'\x00\x00\x08\x01' + bytes(4), 'sizes above zero, got 0'),
    ],
)
def test_a_wrong_header_is_named(tmp_path: Path, content: bytes, message: str):
    path = tmp_path / 'labels'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        read_idx(path, 1)
    assert str(path) in str(error.value)


@pytest.mark.parametrize('name', ['images', 'images.gz'])
@pytest.mark.parametrize('side', [1000, 2**32 - 1])
def test_absurd_sizes_are_refused_without_allocating_them(tmp_path: Path, name: str, side: int):
    content = b'\x00\x00\x08\x03' + struct.pack('>III', side, side, side) + b'few'
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith('gz') else content)
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=f'{side}×{side}×{side}'):
            read_idx(tmp_path / name, 3)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    'damage',
    [
        lambda content: content[:-5],
        lambda content: b'not gzip at all',
        lambda content: content[:10] + b'\xff' + content[11:],
        lambda content: content[:-8] + b'\0\0\0\0' + content[-4:],
    ],
    ids=['cut', 'no gzip', 'damaged data', 'wrong checksum'],
)
def test_damaged_gzip_is_refused(tmp_path: Path, to_idx, damage):
    path = tmp_path / 'labels.gz'
    path.write_bytes(damage(gzip.compress(to_idx(LABELS))))
    with pytest.raises(ValueError, match=r'labels\.gz: expected a complete gzip file'):
        read_idx(path, 1)


def test_a_folder_gives_its_four_arrays(idx_folder: Path, idx_arrays):
    arrays = read_idx_folder(idx_folder)
    keys = ('train_images', 'train_labels', 'test_images', 'test_labels')
    for key, expected in zip(keys, idx_arrays.values(), strict=True):
        np.testing.assert_array_equal(arrays[key], expected)


def test_a_missing_file_is_named_among_the_four(idx_folder: Path):
    (idx_folder / 't10k-labels-idx1-ubyte').unlink()
    with pytest.raises(
        FileNotFoundError, match='got none with the name t10k-labels-idx1-ubyte'
    ) as error:
        read_idx_folder(idx_folder)
    for name in ('train-images-idx3', 'train-labels-idx1', 't10k-images-idx3', str(idx_folder)):
        assert name in str(error.value)


def test_a_missing_folder_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r'train-images-idx3-ubyte.*not a folder'):
        read_idx_folder(tmp_path / 'nowhere')


@pytest.mark.parametrize('split', ['train', 't10k'])
def test_as_many_labels_as_images_are_expected(idx_folder: Path, to_idx, split: str):
    (idx_folder / f'{split}-labels-idx1-ubyte').write_bytes(to_idx(LABELS))
    with pytest.raises(ValueError, match=r'expected \d0 labels.* got 7'):
        read_idx_folder(idx_folder)


def test_training_and_test_images_have_one_size(idx_folder: Path, to_idx):
    images = np.zeros((20, 4, 5), np.uint8)
    path = idx_folder / 't10k-images-idx3-ubyte.gz'
    path.write_bytes(gzip.compress(to_idx(images)))
    with pytest.raises(ValueError, match=re.escape(str(path)) + '.*6×5.*got 4×5'):
        read_idx_folder(idx_folder)
