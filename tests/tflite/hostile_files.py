"""Model files that hold what a test says, in each format that Keras has."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import tf_keras as keras

from tf_n2uq._compat.keras_saving import SavedMetadata

FORMATS = ('model.keras', 'model.h5', 'saved_model')
ARCHIVE, HDF5, SAVED_MODEL = FORMATS


def entry(name: str, config: Any, **others: Any) -> dict[str, Any]:
    """Returns the description of an object in a config."""
    return {'class_name': name, 'config': config, **others}


def input_layer(shape: list[int | None] | None = None) -> dict[str, Any]:
    """Returns the layer `x` of a functional config; its shape is [None, 4] by default."""
    config = {'batch_input_shape': shape or [None, 4], 'dtype': 'float32', 'name': 'x'}
    return {**entry('InputLayer', config), 'name': 'x', 'inbound_nodes': []}


def network(*layers: dict[str, Any], shape: list[int | None] | None = None) -> dict[str, Any]:
    """Returns the config of a functional model.

    Args:
        *layers: entries that follow each other. Each reads the one before, unless it has
            `inbound_nodes` of its own.
        shape: of the input, [None, 4] by default.
    """
    described, last = [input_layer(shape)], 'x'
    for index, layer in enumerate(layers):
        name = f'layer_{index}'
        layer = {'inbound_nodes': [[[last, 0, 0, {}]]], **layer, 'name': name}
        described.append({**layer, 'config': {**layer['config'], 'name': name}})
        last = name
    config = {
        'name': 'network',
        'trainable': True,
        'layers': described,
        'input_layers': [['x', 0, 0]],
        'output_layers': [[last, 0, 0]],
    }
    module = 'tf_keras.src.engine.functional'
    return entry('Functional', config, module=module, registered_name='Functional')


def harmless() -> keras.Model:
    """Returns a small model, the weights of forged files."""
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name='dense')])


def write(folder: Path, form: str, config: Any) -> Path:
    """Writes a file with a config, and with the weights of `harmless()`.

    Args:
        folder: where to; what is there by the name is replaced.
        form: one of `FORMATS`, which is also the name.
        config: of the whole model.

    Returns:
        The path.
    """
    path, source = folder / form, folder / 'source' / form
    source.parent.mkdir()
    harmless().save(source)
    if form == ARCHIVE:
        rewrite_archive(source, path, lambda name, content: _with_config(name, content, config))
    elif form == HDF5:
        source.replace(path)
        with h5py.File(path, 'r+') as file:
            file.attrs['model_config'] = json.dumps(config).encode()
    else:
        shutil.rmtree(path, ignore_errors=True)
        source.replace(path)
        _set_metadata(path / 'keras_metadata.pb', config)
    shutil.rmtree(folder / 'source')
    return path


def _with_config(name: str, content: bytes, config: Any) -> bytes:
    return json.dumps(config).encode() if name == 'config.json' else content


def _set_metadata(path: Path, config: Any) -> None:
    metadata = SavedMetadata.FromString(path.read_bytes())
    (root,) = [node for node in metadata.nodes if node.node_path == 'root']
    root.metadata = json.dumps({**json.loads(root.metadata), **config})
    path.write_bytes(metadata.SerializeToString())


def rewrite_archive(
    source: Path, target: Path, change: Callable[[str, bytes], bytes], **options: Any
) -> None:
    """Writes a copy of a zip archive whose members have been changed.

    Args:
        source: the archive.
        target: the copy.
        change: gets a member's name and content, and returns the new content.
        **options: of `zipfile.ZipFile`, for the copy.
    """
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, 'w', **options) as new:
        for name in old.namelist():
            new.writestr(name, change(name, old.read(name)))


def change_weights(path: Path, change: Callable[[h5py.File], None]) -> None:
    """Changes the HDF5 file that a file is or holds.

    Args:
        path: an `.h5` or `.keras` file, which is replaced.
        change: gets the HDF5 file.
    """
    weights = path
    if path.suffix == '.keras':
        with zipfile.ZipFile(path) as archive:
            weights = Path(archive.extract('model.weights.h5', path.parent))
    with h5py.File(weights, 'r+') as file:
        change(file)
    if weights != path:
        content = weights.read_bytes()
        weights.unlink()
        before = path.rename(path.with_name('before.keras'))
        rewrite_archive(before, path, lambda name, old: content if 'weights' in name else old)
        before.unlink()


def kernel_of(file: h5py.File) -> h5py.Dataset:
    """Returns the dataset of the dense layer's kernel in the HDF5 file of `harmless()`."""
    found: list[h5py.Dataset] = []
    file.visititems(lambda _, each: found.append(each) if getattr(each, 'ndim', 0) == 2 else None)
    (kernel,) = found
    return kernel
