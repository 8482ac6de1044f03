"""Loads image datasets by their names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tf_n2uq.data.idx import read_idx_folder
from tf_n2uq.data.splits import ArraySplit, ImageData
from tf_n2uq.data.tfds import load_tfds

FASHION_MNIST_DIR = Path('/usr/share/datasets/fashion-mnist')
_NAMES = ('digits', 'idx', 'mnist', 'fashion_mnist')
_TFDS_PREFIX = 'tfds:'


def load(
    name: str,
    data_dir: str | Path | None = None,
    seed: int = 0,
    image_size: tuple[int, int] | None = None,
) -> ImageData:
    """Loads an image classification dataset with its three splits.

    The name, the data and the seed alone decide which example is in which split.

    Args:
        name: One of
            'digits': scikit-learn's bundled handwritten digits, 1797 images of 8×8, split
            70/10/20 with equal shares of every class;
            'idx': four IDX files in `data_dir` under MNIST's names, plain or `.gz`;
            'mnist': the same;
            'fashion_mnist': the same, by default where Debian's package
            `dataset-fashion-mnist` installs them;
            'tfds:NAME': any image classification dataset of TensorFlow Datasets, which is
            downloaded and prepared if it is not there yet. It needs the splits 'train' and 'test'
            (or 'validation', which is the test split then).
            Where the data has no validation split, a part of the training split becomes it: of
            IDX files a tenth but at most 5000 images, chosen by `seed`; of TensorFlow Datasets
            the last tenth.
        data_dir: The folder with the data. None means the usual place of the dataset, if there is
            one.
        seed: The seed of the random parts of splitting, 0..2³²−1. Splits of TensorFlow Datasets
            have none.
        image_size: Height and width in pixels that every image of 'tfds:NAME' is resized to. It
            is needed if the images differ in size.

    Returns:
        The dataset.

    Raises:
        FileNotFoundError: The data is not there.
        ImportError: The package that reads the data is not installed.
        TypeError: `name` is not a string.
        ValueError: An argument is out of its range, the dataset is not one of images with one
            label each, or a file is damaged.
    """
    _check_name_and_seed(name, seed)
    if name.startswith(_TFDS_PREFIX):
        return load_tfds(name, name.removeprefix(_TFDS_PREFIX), data_dir, image_size)
    if name not in _NAMES:
        raise ValueError(
            f'name: expected one of {", ".join(_NAMES)} or tfds:NAME with a name from TensorFlow '
            f'Datasets, got {name!r}. Give one of them.'
        )
    if image_size is not None:
        raise ValueError(
            f'image_size: expected None for {name!r}, whose images have one size, '
            f'got {image_size!r}. Leave it out.'
        )
    if name != 'digits':
        return _load_idx(name, data_dir, seed)
    if data_dir is not None:
        raise ValueError(
            f"data_dir: expected None for 'digits', which comes with scikit-learn, "
            f"got {str(data_dir)!r}. Leave it out, or read files in the folder by the name 'idx'."
        )
    return _load_digits(seed)


def _check_name_and_seed(name: Any, seed: Any) -> None:
    if not isinstance(name, str):
        raise TypeError(f"name: expected a string such as 'digits', got {name!r}. Give a name.")
    is_integer = isinstance(seed, (int, np.integer)) and not isinstance(seed, bool)
    if not is_integer or not 0 <= seed < 2**32:
        raise ValueError(
            f'seed: expected an integer in 0..{2**32 - 1}, got {seed!r}. Give another seed.'
        )


def _load_digits(seed: int) -> ImageData:
    try:
        from sklearn import datasets, model_selection
    except ImportError as error:
        raise ImportError(
            "name: 'digits' expected the package scikit-learn, which is not installed. "
            "Install it with: pip install 'tf_n2uq[data]'"
        ) from error
    digits = datasets.load_digits()
    images, labels = digits.images.astype(np.uint8)[..., np.newaxis], digits.target
    indices = np.arange(len(labels))
    split: Callable = model_selection.train_test_split
    rest, test = split(indices, test_size=0.2, stratify=labels, random_state=seed)
    train, validation = split(rest, test_size=0.125, stratify=labels[rest], random_state=seed)
    splits = [ArraySplit(images[i], labels[i], maximum=16) for i in (train, validation, test)]
    return ImageData('digits', splits[0].image_shape, 10, *splits)


def _load_idx(name: str, data_dir: str | Path | None, seed: int) -> ImageData:
    if data_dir is None:
        data_dir = _default_idx_dir(name)
    arrays = read_idx_folder(data_dir)
    images, labels = arrays['train_images'][..., np.newaxis], arrays['train_labels']
    held_out = min(5000, len(images) // 10)
    if not held_out:
        raise ValueError(
            f'data_dir: expected at least 10 training images, a tenth of which becomes the '
            f'validation split, got {len(images)} in {str(data_dir)!r}. Give more images.'
        )
    order = np.random.default_rng(seed).permutation(len(images))
    train, validation = order[:-held_out], order[-held_out:]
    test_labels = arrays['test_labels']
    return ImageData(
        name,
        image_shape=images.shape[1:],
        classes=int(max(labels.max(), test_labels.max())) + 1,
        train=ArraySplit(images[train], labels[train]),
        validation=ArraySplit(images[validation], labels[validation]),
        test=ArraySplit(arrays['test_images'][..., np.newaxis], test_labels),
    )


def _default_idx_dir(name: str) -> Path:
    if name != 'fashion_mnist':
        raise ValueError(
            f'data_dir: expected a folder with the four IDX files of {name!r}, got None. Give the '
            'folder.'
        )
    if not FASHION_MNIST_DIR.is_dir():
        raise FileNotFoundError(
            f'data_dir: expected Fashion-MNIST in {FASHION_MNIST_DIR}, got no such folder. Install '
            'it with `apt install dataset-fashion-mnist`, or give the folder of its four IDX files '
            'as data_dir.'
        )
    return FASHION_MNIST_DIR
