"""Models from files that need not be trusted: nothing that stands in them is executed."""

from __future__ import annotations

import json
import tempfile
import textwrap
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import tensorflow_model_optimization as tfmot
import tf_keras as keras

from tf_n2uq._compat.keras_saving import (
    ObjectSharingScope,
    SafeModeScope,
    SavedMetadata,
    json_utils,
    load_weights_from_hdf5_group,
)
from tf_n2uq.tflite.model_config import ConfigCheck, prepared
from tf_n2uq.untrusted.refusal import RefusedError
from tf_n2uq.untrusted.settings import with_learned_statistics
from tf_n2uq.untrusted.stored_weights import (
    check_folder,
    count_in_checkpoint,
    count_in_hdf5,
    read_config,
    unpack_weights,
    variables_like,
    version_of_keras,
)


def load_model(
    path: str | Path,
    argument: str = 'path',
    *,
    custom_objects: Mapping[str, Callable[..., Any]] | None = None,
) -> keras.Model:
    """Loads a model that tf_keras saved whole, without executing what stands in the file.

    `keras.models.load_model` runs Python code that an `.h5` file or a SavedModel brings, calls
    any TensorFlow function that a file names, and imports any module. Here a model may hold layers
    of Keras that compute on numbers, this package's layers and quantizers, and those of TFMOT;
    `allowed_layers` lists them. Anything else is refused before a layer is made, and so are files
    that lead to other files, or whose layers have far more weights than the file stores. A
    SavedModel is built from its config and its variables; its TensorFlow graph is not loaded. What
    the model takes to run is not limited: a harmless layer may still make a large output.

    TensorFlow functions in a model (`x + 1`, `tf.nn.relu(x)`: Keras' `TFOpLambda`) are refused as
    well, whichever they are. Call `tf_n2uq.annotate` before saving: it makes layers of them.

    Args:
        path: an `.h5` or `.keras` file, or the folder of a SavedModel.
        argument: how messages call the path.
        custom_objects: further classes, and functions such as activations, by the names that the
            file has for them: `registered_name` of a `.keras` file, else `class_name`. The caller
            trusts them with whatever arguments the file gives. `Lambda` layers are refused
            nevertheless, as their code is in the file.

    Returns:
        The model, not compiled.

    Raises:
        OSError: if there is nothing at the path, or it may not be read.
        ValueError: if it is none of these, is damaged, or holds something that is not allowed.
    """
    path = Path(path)
    if not path.is_dir():
        path.open('rb').close()
    trusted = dict(custom_objects or {})
    scope = tfmot.quantization.keras.quantize_scope()
    _refuse_keras3(path, argument)
    try:
        with SafeModeScope(True), scope, keras.saving.custom_object_scope(trusted):
            return _reader_of(path)(path, trusted)
    except Exception as error:  # whatever a damaged file makes its reader stumble over
        raise ValueError(_message(error, argument, str(path))) from error


def _refuse_keras3(path: Path, argument: str) -> None:
    version = version_of_keras(path)
    if version is None or version.startswith(('1.', '2.')):
        return
    way_out = (
        'make a tf_keras model of it with tf_n2uq.from_keras3(path), and save that'
        if zipfile.is_zipfile(path)
        else 'load it with keras.saving.load_model, give that model to tf_n2uq.from_keras3, and '
        'save what it returns'
    )
    raise ValueError(
        f'{argument}: expected a model that tf_keras saved, got {str(path)!r}, which Keras 3 '
        f'({version}) saved; {way_out}.'
    )


def _message(error: BaseException, argument: str, path: str) -> str:
    reason: BaseException | None = error
    while reason is not None:
        # Keras makes errors of its own of some errors.
        if isinstance(reason, RefusedError):
            return reason.message(argument, path)
        reason = reason.__cause__ or reason.__context__
    # Keras quotes a file as it is: pages of config, or characters that steer a terminal.
    quoted = ''.join(char if char.isprintable() else ' ' for char in str(error))
    return (
        f'{argument}: expected a model that tf_keras saved as .keras, .h5 or SavedModel, got '
        f'{path!r}, which cannot be loaded ({textwrap.shorten(quoted, 500)}); save the model again '
        'with model.save(path).'
    )


def _reader_of(path: Path) -> Callable[[Path, Mapping[str, Any]], keras.Model]:
    if path.is_dir():
        return _read_saved_model
    # Keras also writes HDF5 files with this ending.
    is_archive = path.suffix == '.keras' and zipfile.is_zipfile(path)
    return _read_archive if is_archive else _read_hdf5


def _read_archive(path: Path, trusted: Mapping[str, Any]) -> keras.Model:
    with zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as folder:
        config = read_config(archive, path.stat().st_size)
        ConfigCheck(trusted).check(config)
        weights = unpack_weights(archive, folder)
        with h5py.File(weights) as file:
            stored = count_in_hdf5(file)

        def make(config: Any) -> Any:
            with ObjectSharingScope():
                return keras.saving.deserialize_keras_object(prepared(config, trusted))

        model = _made(make, config, stored)
        model.load_weights(weights)
    return model


def _read_hdf5(path: Path, trusted: Mapping[str, Any]) -> keras.Model:
    with h5py.File(path) as file:
        stored = count_in_hdf5(file)
        if 'model_config' not in file.attrs:
            raise ValueError('it holds weights, but no network')
        model = _made_of_json(json.loads(file.attrs['model_config']), trusted, stored)
        load_weights_from_hdf5_group(file['model_weights'], model)
    return model


def _read_saved_model(folder: Path, trusted: Mapping[str, Any]) -> keras.Model:
    check_folder(folder)
    metadata = SavedMetadata.FromString((folder / 'keras_metadata.pb').read_bytes())
    root = next((node for node in metadata.nodes if node.node_path == 'root'), None)
    if root is None:
        raise ValueError('keras_metadata.pb describes no model')
    metadata_of_root = json.loads(root.metadata)
    config = {key: metadata_of_root[key] for key in ('class_name', 'config')}
    variables = folder / 'variables' / 'variables'
    model = _made_of_json(config, trusted, count_in_checkpoint(variables))
    model.load_weights(variables).assert_existing_objects_matched()
    return model


def _made_of_json(config: Any, trusted: Mapping[str, Any], stored: int) -> keras.Model:
    """Makes a model of a config as `.h5` files and SavedModels have it, after checking it."""
    ConfigCheck(trusted).check(config)

    def make(config: Any) -> Any:
        decoded = json_utils.decode(json.dumps(config))
        return keras.models.model_from_config(prepared(decoded, trusted))

    return _made(make, config, stored)


def _made(make: Callable[[Any], Any], config: Any, stored: int) -> keras.Model:
    """Makes a model with about as many weights as are stored."""
    learned = with_learned_statistics(config)
    if learned != config:
        # Statistics as variables show how large they would get as constants.
        with variables_like(stored):
            make(learned)
    with variables_like(stored):
        model = make(config)
    if not isinstance(model, keras.Model):
        raise ValueError('it describes no model')
    if not model.built:
        # Its first call would make weights, as many as its config says.
        raise ValueError('it was saved before its input shape was known')
    return model
