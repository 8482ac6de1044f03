"""Models from files that need not be trusted: nothing that stands in them is executed."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import tf_keras as keras
from tf_keras.protobuf.saved_metadata_pb2 import SavedMetadata
from tf_keras.src.saving.legacy.saved_model import json_utils
from tf_keras.src.saving.serialization_lib import SafeModeScope

# Where a config may name classes and functions; Keras would import any module and call what is
# in it.
_PACKAGES = ('builtins', 'keras', 'tensorflow_model_optimization', 'tf_keras', 'tf_n2uq')
# Layers that hold Python code, or TensorFlow operations such as `tf.io.write_file` by name.
_HOLD_CODE = ('Lambda', 'SlicingOpLambda', 'TFOpLambda', 'TensorFlowOpLayer', '__lambda__')


def load_model(path: str | Path, argument: str = 'path') -> keras.Model:
    """Loads a model that tf_keras saved whole, without executing what stands in the file.

    `keras.models.load_model` runs Python code that an `.h5` file or a SavedModel brings, and
    imports what a `.keras` file names. Here code is refused, and a SavedModel is built from its
    config and its variables; its TensorFlow graph is not loaded.

    Args:
        path: an `.h5` or `.keras` file, or the folder of a SavedModel.
        argument: how messages call the path.

    Returns:
        The model, not compiled.

    Raises:
        OSError: there is nothing at the path, or it may not be read.
        ValueError: it is none of these, is damaged, or holds code.
    """
    path = Path(path)
    if not path.is_dir():
        path.open('rb').close()
    try:
        # By itself Keras refuses code in .keras files only.
        with SafeModeScope(True):
            if path.is_dir():
                return _load_saved_model(path)
            _check_config(_config_of_file(path))
            return keras.models.load_model(path, compile=False)
    except Exception as error:  # whatever a damaged file makes its reader stumble over
        raise ValueError(
            f'{argument}: expected a model that tf_keras saved as .keras, .h5 or SavedModel, '
            f'without code in it, got {str(path)!r}, which cannot be loaded. Save the model with '
            f'model.save(path). The reason: {error}'
        ) from error


def _config_of_file(path: Path) -> Any:
    # Which format it is has to be decided as Keras does: a file can be both.
    if str(path).endswith('.keras') and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            # How it was compiled is not read.
            return {**json.loads(archive.read('config.json')), 'compile_config': None}
    with h5py.File(path, 'r') as file:
        if 'model_config' not in file.attrs:
            raise ValueError('it holds weights, but no network')
        return json.loads(file.attrs['model_config'])


def _load_saved_model(folder: Path) -> keras.Model:
    metadata = SavedMetadata.FromString((folder / 'keras_metadata.pb').read_bytes())
    root = next((node for node in metadata.nodes if node.node_path == 'root'), None)
    if root is None:
        raise ValueError('keras_metadata.pb describes no model')
    metadata_of_root = json.loads(root.metadata)
    config = {key: metadata_of_root[key] for key in ('class_name', 'config')}
    _check_config(config)
    model = keras.models.model_from_config(json_utils.decode(json.dumps(config)))
    status = model.load_weights(folder / 'variables' / 'variables')
    status.assert_existing_objects_matched()
    return model


def _check_config(config: Any) -> None:
    """Raises if a config names anything that is not a known package's, or that holds code."""
    for entry in _objects(config):
        name = str(entry.get('class_name'))
        module = entry.get('module')
        if name.split('>')[-1] in _HOLD_CODE:
            raise ValueError(f'it has a {name}, which holds code')
        called = entry.get('config') if name == 'function' else name
        known = module is None or str(module).split('.')[0] in _PACKAGES
        # `os.system` of a module that imports os.
        if not known or '.' in str(called):
            raise ValueError(f'it names {called!r} of the module {module!r}')


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Yields every description of an object in a config."""
    if isinstance(config, dict):
        if 'class_name' in config:
            yield config
        config = list(config.values())
    if isinstance(config, list):
        for value in config:
            yield from _objects(value)
