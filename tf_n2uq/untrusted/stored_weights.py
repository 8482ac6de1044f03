"""The weights in an untrusted file: where they are, and how many they are.

HDF5 files may lead a reader to other files, and may describe more numbers than they store. Zip
archives may be a thousand times as large when unpacked. What Keras writes does neither.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import zipfile
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tensorflow as tf

from tf_n2uq.untrusted.refusal import RefusedError

_WEIGHTS = 'model.weights.h5'
_COMPRESSIONS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
# Keras does not compress. Whoever packs an archive again may, and a config shrinks a lot.
_MOST_COMPRESSED = 10
_SMALL = 2**24  # bytes
# Variables that are not stored: the states of random generators, and those of a trial.
_VARIABLES_LEFT_OUT = 2**20


def read_config(archive: zipfile.ZipFile, size: int) -> Any:
    """Returns the config in a `.keras` file.

    Args:
        archive: the file.
        size: its bytes.

    Raises:
        KeyError: if it has no config.
        RefusedError: if it unpacks to much more than it has bytes.
    """
    members = archive.infolist()
    unpacked = sum(member.file_size for member in members)
    if unpacked > _MOST_COMPRESSED * size + _SMALL:
        raise RefusedError(f'{unpacked:,} bytes when unpacked, far more than its own {size:,}')
    if not {member.compress_type for member in members} <= _COMPRESSIONS:
        raise RefusedError('members that are neither stored nor deflated')
    with archive.open('config.json') as file:
        # Without a number, a member may unpack to more than it claims.
        return json.loads(file.read(archive.getinfo('config.json').file_size))


def version_of_keras(path: Path) -> str | None:
    """Returns the version of Keras that a `.keras` or `.h5` file says it was saved by.

    Args:
        path: of any file or folder.

    Returns:
        The version, of at most 20 characters; None if the file says nothing of the kind.
    """
    version: Any = None
    try:
        if path.is_file() and zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive, archive.open('metadata.json') as file:
                version = json.loads(file.read(_SMALL)).get('keras_version')
        elif path.is_file() and h5py.is_hdf5(path):
            with h5py.File(path) as file:
                version = file.attrs.get('keras_version')
    except (AttributeError, KeyError, OSError, RuntimeError, ValueError, zipfile.BadZipFile):
        return None
    known = isinstance(version, str) and re.fullmatch(r'\d+\.[\w.+-]{1,16}', version)
    return version if known else None


def unpack_weights(archive: zipfile.ZipFile, folder: str) -> Path:
    """Writes the weights in a `.keras` file to a folder, and nothing else.

    Args:
        archive: a file whose config has been read.
        folder: one that exists.

    Returns:
        The path of the HDF5 file.

    Raises:
        KeyError: if there are no weights.
        RefusedError: if the file has more members than a config and weights.
    """
    others = set(archive.namelist()) - {'config.json', 'metadata.json', _WEIGHTS}
    if others:
        raise RefusedError(f'the files {sorted(others)}, which no known layer reads')
    return Path(archive.extract(_WEIGHTS, folder))


def count_in_hdf5(file: h5py.File) -> int:
    """Checks an HDF5 file, and counts the numbers in it.

    Args:
        file: open for reading.

    Returns:
        How many numbers all datasets together have.

    Raises:
        RefusedError: if a part of it leads to another file or describes more than is stored.
    """
    objects = dict(_objects(file, {_address(file)}))
    datasets = {path: each for path, each in objects.items() if isinstance(each, h5py.Dataset)}
    for path, dataset in datasets.items():
        _check_dataset(path, dataset)
    described = sum(dataset.nbytes for dataset in datasets.values())
    if described > file.id.get_filesize():
        raise RefusedError(f'HDF5 datasets that claim {described:,} bytes, more than the file has')
    for path, each in objects.items():
        _check_weight_names(path, each, objects.keys())
    return sum(dataset.size for dataset in datasets.values())


def _objects(group: h5py.Group, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Yields all groups and datasets in a group, with their paths, and the group itself."""
    yield group.name, group
    for name in group:
        path = f'{group.name.rstrip("/")}/{name}'
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise RefusedError(f'the HDF5 link {path!r}, which leads elsewhere')
        found = group[name]
        if _address(found) in seen:
            raise RefusedError(f'the HDF5 link {path!r} to what has another name as well')
        seen.add(_address(found))
        if isinstance(found, h5py.Group):
            yield from _objects(found, seen)
        else:
            yield path, found


def _address(found: Any) -> int:
    return h5py.h5o.get_info(found.id).addr


def _check_dataset(path: str, dataset: Any) -> None:
    if dataset.external or dataset.is_virtual:
        raise RefusedError(f'the HDF5 dataset {path!r}, which is stored in another file')
    layout = dataset.id.get_create_plist().get_layout()
    if layout not in (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT):
        raise RefusedError(f'the HDF5 dataset {path!r}, which is stored in pieces')
    if dataset.dtype.kind not in 'biuf':
        raise RefusedError(f'the HDF5 dataset {path!r} of the dtype {dataset.dtype}')


def _check_weight_names(path: str, owner: Any, paths: Set[str]) -> None:
    """Keras reads what these attributes name: each once, and by the path that it has."""
    for start in ('layer_names', 'weight_names'):
        chunks = [owner.attrs[name] for name in owner.attrs if name.startswith(start)]
        names = [os.fsdecode(name) for chunk in chunks for name in np.ravel(chunk)]
        named = {f'{path.rstrip("/")}/{name}' for name in names}
        if len(named) < len(names) or not named <= paths:
            raise RefusedError(f'the HDF5 attribute {start!r} of {path!r} with other names')


def count_in_checkpoint(prefix: Path) -> int:
    """Checks the checkpoint of a SavedModel, and counts the numbers in it.

    Args:
        prefix: path of its files, without what follows `variables`.

    Returns:
        How many numbers its tensors have.

    Raises:
        RefusedError: if it describes more than its files store, or something else than numbers.
    """
    reader = tf.compat.v1.train.NewCheckpointReader(str(prefix))
    dtypes = reader.get_variable_to_dtype_map()
    stored = sum(path.stat().st_size for path in prefix.parent.glob(f'{prefix.name}.data-*'))
    described = numbers = 0
    for name, shape in reader.get_variable_to_shape_map().items():
        count, dtype = int(np.prod(shape, dtype=object)), dtypes[name]
        if dtype == tf.string:
            described += count
            continue
        if not (dtype.is_floating or dtype.is_integer or dtype.is_bool):
            raise RefusedError(f'the tensor {name!r} of the dtype {dtype.name}')
        described += count * dtype.size
        numbers += count
    if described > stored:
        raise RefusedError(f'tensors that claim {described:,} bytes, more than its {stored:,}')
    return numbers


def check_folder(folder: Path) -> None:
    """Checks that all that is read of a SavedModel are files inside of its folder.

    Args:
        folder: of the SavedModel.

    Raises:
        RefusedError: if one of them is elsewhere, or no file.
    """
    inside = folder.resolve()
    for path in (folder / 'keras_metadata.pb', *folder.glob('variables/*')):
        target = path.resolve()
        if not target.is_relative_to(inside):
            raise RefusedError(f'the link {path.name!r}, which leads out of the folder')
        if path.exists() and not target.is_file():
            raise RefusedError(f'{path.name!r}, which is no file')


@contextlib.contextmanager
def variables_like(stored: int) -> Iterator[None]:
    """Lets Keras make about as many weights as a file stores, and refuses the next one.

    Args:
        stored: how many numbers the file stores.

    Raises:
        RefusedError: before the memory of a variable is taken that makes it far more.
    """
    most = 2 * stored + _VARIABLES_LEFT_OUT
    made = 0

    def count(next_creator: Any, **arguments: Any) -> Any:
        nonlocal made
        made += _elements(arguments)
        if made > most:
            name = f'{tf.get_current_name_scope()}/{arguments.get("name")}'
            raise RefusedError(
                f'layers with more than {most:,} weights up to {name!r}, but stores {stored:,}'
            )
        return next_creator(**arguments)

    with tf.variable_creator_scope(count):
        yield


def _elements(arguments: dict[str, Any]) -> int:
    """Returns the size of a variable that is about to be made."""
    shape = arguments.get('shape')
    if shape is not None:
        return tf.TensorShape(shape).num_elements() or 0
    value: Any = arguments.get('initial_value')
    # Keras gives the shape of all but scalars.
    return 1 if callable(value) else int(np.size(value))
