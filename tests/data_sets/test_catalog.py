from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest

from tf_n2uq import data
from tf_n2uq.data import catalog


def rows(split: data.Split) -> set[bytes]:
    """Each example's bytes, label included: what tells examples apart."""
    images, labels = split.arrays()
    return {image.tobytes() + label.tobytes() for image, label in zip(images, labels, strict=True)}


def test_digits_are_split_in_equal_shares_of_every_class():
    digits = data.load('digits')
    assert (digits.name, digits.image_shape, digits.classes) == ('digits', (8, 8, 1), 10)
    sizes = [split.examples for split in (digits.train, digits.validation, digits.test)]
    assert sizes == [1257, 180, 360]
    for split in (digits.train, digits.validation, digits.test):
        images, labels = split.arrays()
        shares = np.bincount(labels, minlength=10) / split.examples
        assert np.all(np.abs(shares - 0.1) < 0.01)
        assert (images.min(), images.max()) == (0.0, 1.0)


def test_no_digit_is_in_two_splits():
    digits = data.load('digits', seed=5)
    train, validation, test = rows(digits.train), rows(digits.validation), rows(digits.test)
    assert not train & validation
    assert not train & test
    assert not validation & test


def test_digits_follow_the_seed():
    first, again, other = (data.load('digits', seed=seed).test.arrays() for seed in (1, 1, 2))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])


def test_image_data_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.load('digits').classes = 3  # type: ignore[misc]


@pytest.mark.parametrize('name', ['idx', 'mnist', 'fashion_mnist'])
def test_idx_files_are_read_from_a_folder(idx_folder: Path, idx_arrays, name: str):
    loaded = data.load(name, data_dir=idx_folder)
    assert (loaded.name, loaded.image_shape, loaded.classes) == (name, (6, 5, 1), 3)
    assert (loaded.train.examples, loaded.validation.examples) == (54, 6)
    images, labels = loaded.test.arrays()
    np.testing.assert_allclose(images[..., 0] * 255, idx_arrays['t10k-images-idx3-ubyte'])
    np.testing.assert_array_equal(labels, idx_arrays['t10k-labels-idx1-ubyte'])


def test_idx_validation_is_taken_from_training_by_seed(idx_folder: Path, idx_arrays):
    first, again, other = (data.load('idx', idx_folder, seed=seed) for seed in (1, 1, 2))
    assert rows(first.validation) == rows(again.validation) != rows(other.validation)
    everything = data.ArraySplit(
        idx_arrays['train-images-idx3-ubyte'][..., np.newaxis],
        idx_arrays['train-labels-idx1-ubyte'],
    )
    assert rows(first.train) | rows(first.validation) == rows(everything)
    assert not rows(first.train) & rows(first.validation)


def test_fashion_mnist_has_a_default_folder(idx_folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(catalog, 'FASHION_MNIST_DIR', idx_folder)
    assert data.load('fashion_mnist').train.examples == 54


@pytest.mark.skipif(
    not catalog.FASHION_MNIST_DIR.is_dir(), reason='needs apt install dataset-fashion-mnist'
)
def test_the_installed_fashion_mnist_is_read():
    loaded = data.load('fashion_mnist')
    assert (loaded.image_shape, loaded.classes) == ((28, 28, 1), 10)
    sizes = [split.examples for split in (loaded.train, loaded.validation, loaded.test)]
    assert sizes == [55000, 5000, 10000]
    assert np.bincount(loaded.test.arrays()[1]).tolist() == [1000] * 10


def test_a_missing_fashion_mnist_says_how_to_get_it(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(catalog, 'FASHION_MNIST_DIR', tmp_path / 'nowhere')
    with pytest.raises(FileNotFoundError, match=r'apt install dataset-fashion-mnist.*data_dir'):
        data.load('fashion_mnist')


def test_too_few_training_images_are_refused(idx_folder: Path, to_idx):
    (idx_folder / 'train-images-idx3-ubyte').write_bytes(to_idx(np.ones((9, 6, 5), np.uint8)))
    (idx_folder / 'train-labels-idx1-ubyte').write_bytes(to_idx(np.ones(9, np.uint8)))
    with pytest.raises(ValueError, match=r'at least 10 training images.* got 9'):
        data.load('idx', idx_folder)


@pytest.mark.parametrize(
    ('name', 'arguments', 'message'),
    [
        ('cifar', {}, r"name: expected one of digits, .*tfds:NAME.*got 'cifar'"),
        ('idx', {}, "data_dir: expected a folder with the four IDX files of 'idx', got None"),
        ('mnist', {}, 'data_dir: expected a folder'),
        ('digits', {'data_dir': 'somewhere'}, "data_dir: expected None.*got 'somewhere'"),
        ('digits', {'image_size': (4, 4)}, r'image_size: expected None.*\(4, 4\)'),
        ('digits', {'seed': -1}, 'seed: expected an integer in 0.*got -1'),
        ('digits', {'seed': 0.5}, 'seed: .*got 0.5'),
        ('digits', {'seed': True}, 'seed: .*got True'),
    ],
)
def test_a_wrong_argument_is_named(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        data.load(name, **arguments)


def test_a_name_of_another_kind_is_refused():
    with pytest.raises(TypeError, match='name: expected a string .* got 3'):
        data.load(3)


def test_a_seed_of_numpy_is_a_seed():
    first, again = (data.load('digits', seed=seed).test.arrays()[1] for seed in (np.int64(1), 1))
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize(
    ('name', 'package'),
    [('digits', 'sklearn'), ('tfds:mnist', 'tensorflow_datasets')],
)
def test_a_missing_package_names_its_extra(name, package, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=r"pip install 'tf_n2uq\[data\]'"):
        data.load(name)
