"""Files of Keras 3 need not be trusted."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras as keras3
import pytest

import tf_n2uq
from tests.keras3.keras3_models import chain
from tests.tflite.hostile_files import rewrite_archive
from tf_n2uq.keras3.sources import entry_of, source_of

layers = keras3.layers
OWN_MODULE: dict[str, Any] = {
    'module': 'os',
    'class_name': 'system',
    'config': {},
    'registered_name': None,
}


def forged(folder: Path, change: Any) -> Path:
    """Writes a `.keras` file whose config a function has changed in place."""
    chain(layers.Dense(3, name='dense'), shape=(4,)).save(folder / 'good.keras')

    def edit(name: str, content: bytes) -> bytes:
        if name != 'config.json':
            return content
        config = json.loads(content)
        change(config['config']['layers'])
        return json.dumps(config).encode()

    rewrite_archive(folder / 'good.keras', folder / 'forged.keras', edit)
    return folder / 'forged.keras'


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (lambda found: found[1].update(module='os'), "class 'Dense' of the module 'os'"),
        (lambda found: found[1].update(registered_name='my>Dense'), "registered as 'my>Dense'"),
        (lambda found: found[1].update(class_name='Lambda'), 'Lambda.*no counterpart'),
        (lambda found: found[1]['config'].update(seed=OWN_MODULE), "class 'system' of the module"),
        (
            lambda found: found[1]['config'].update(
                activation={'class_name': 'function', 'module': 'os', 'config': 'system'}
            ),
            "the function 'system'",
        ),
        (
            lambda found: found[1]['config'].update(
                activation={'class_name': '__lambda__', 'config': {'value': 'x'}}
            ),
            'code in place of a function',
        ),
        (lambda found: found[1]['config'].update(units=10**9), 'layers with more than .* weights'),
        (lambda found: found[1]['config'].update(other=3), 'other=3.*leave other out'),
        (lambda found: found[1].update(config=3), 'expected a layer of Keras 3'),
        (lambda found: found.clear(), 'expected layers'),
    ],
)
def test_what_is_not_known_in_a_file_is_refused(change, words, tmp_path):
    with pytest.raises(ValueError, match=words):
        tf_n2uq.from_keras3(forged(tmp_path, change))


def test_links_in_hdf5_files_are_refused(tmp_path):
    theirs = chain(layers.Dense(3), shape=(4,))
    theirs.save_weights(tmp_path / 'a.weights.h5')
    with h5py.File(tmp_path / 'a.weights.h5', 'r+') as file:
        file['layers/other'] = h5py.ExternalLink('other.h5', '/')
    with pytest.raises(ValueError, match='HDF5 link.*keras.saving.load_model'):
        tf_n2uq.from_keras3(theirs, weights=tmp_path / 'a.weights.h5')


def test_damaged_and_missing_files_are_told(tmp_path):
    (tmp_path / 'a.keras').write_bytes(b'nothing')
    with zipfile.ZipFile(tmp_path / 'b.keras', 'w') as archive:
        archive.writestr('config.json', '{"class_name"')
    with pytest.raises(ValueError, match='save the model with model.save'):
        tf_n2uq.from_keras3(tmp_path / 'a.keras')
    with pytest.raises(ValueError, match='cannot be read'):
        tf_n2uq.from_keras3(tmp_path / 'b.keras')
    with pytest.raises(FileNotFoundError):
        tf_n2uq.from_keras3(tmp_path / 'c.keras')


def test_a_source_has_the_config_and_the_weights(tmp_path):
    theirs = chain(layers.Dense(3, name='dense'), shape=(4,))
    theirs.save(tmp_path / 'a.keras')
    with source_of(theirs, None, ()) as live, source_of(tmp_path / 'a.keras', None, ()) as stored:
        assert live.config['class_name'] == stored.config['class_name'] == 'Sequential'
        assert (live.stored, stored.stored) == (None, 15)
    assert entry_of(theirs).name == theirs.name
