from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import tensorflow as tf

from tests.tflite.hostile_files import (
    ARCHIVE,
    FORMATS,
    HDF5,
    SAVED_MODEL,
    change_weights,
    entry,
    harmless,
    kernel_of,
    network,
    rewrite_archive,
    write,
)
from tf_n2uq.tflite.loading import load_model

Change = Callable[[h5py.File, Path], None]


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file elsewhere that whoever reads it waits for for ever."""
    path = tmp_path / 'secret'
    os.mkfifo(path)
    return path


def _refused(path: Path) -> str:
    with pytest.raises(ValueError, match='known, harmless layers') as raised:
        load_model(path)
    message = str(raised.value)
    assert str(path) in message
    assert '\n' not in message
    return message


def _external_dataset(file: h5py.File, secret: Path) -> None:
    kernel = kernel_of(file)
    name, shape = kernel.name, kernel.shape
    del file[name]
    file.create_dataset(name, shape, 'f4', external=[(str(secret), 0, h5py.h5f.UNLIMITED)])


def _external_link(file: h5py.File, secret: Path) -> None:
    name = kernel_of(file).name
    del file[name]
    file[name] = h5py.ExternalLink(str(secret), '/kernel')


def _soft_link(file: h5py.File, _: Path) -> None:
    name = kernel_of(file).name
    file.move(name, '/elsewhere')
    file[name] = h5py.SoftLink('/elsewhere')


def _virtual_dataset(file: h5py.File, secret: Path) -> None:
    kernel = kernel_of(file)
    name, shape = kernel.name, kernel.shape
    del file[name]
    layout = h5py.VirtualLayout(shape, 'f4')
    layout[:] = h5py.VirtualSource(str(secret), 'kernel', shape)
    file.create_virtual_dataset(name, layout)


def _second_name(file: h5py.File, _: Path) -> None:
    file['again'] = kernel_of(file)


def _circle(file: h5py.File, _: Path) -> None:
    kernel_of(file).parent['again'] = file['/']


def _compressed(file: h5py.File, _: Path) -> None:
    kernel = kernel_of(file)
    name, content = kernel.name, kernel[()]
    del file[name]
    file.create_dataset(name, data=content, compression='gzip')


def _not_stored(file: h5py.File, _: Path) -> None:
    name = kernel_of(file).name
    del file[name]
    file.create_dataset(name, (4, 10**12), 'f4')


def _references(file: h5py.File, _: Path) -> None:
    name = kernel_of(file).name
    del file[name]
    file.create_dataset(name, data=['x' * 100] * 8, dtype=h5py.string_dtype())


@pytest.mark.parametrize('form', [ARCHIVE, HDF5])
@pytest.mark.parametrize(
    ('change', 'named'),
    [
        (_external_dataset, 'which is stored in another file'),
        (_external_link, 'which leads elsewhere'),
        (_soft_link, 'which leads elsewhere'),
        (_virtual_dataset, 'which is stored in another file'),
        (_second_name, 'to what has another name as well'),
        (_circle, 'to what has another name as well'),
        (_compressed, 'which is stored in pieces'),
        (_not_stored, 'HDF5 datasets that claim 16,000,000,000,'),
        (_references, 'of the dtype object'),
    ],
)
def test_hdf5_that_leads_to_other_files_or_claims_too_much_is_refused(
    tmp_path: Path, secret: Path, form: str, change: Change, named: str
):
    harmless().save(tmp_path / form)
    change_weights(tmp_path / form, lambda file: change(file, secret))
    message = _refused(tmp_path / form)
    assert named in message
    assert 'HDF5' in message


@pytest.mark.parametrize('name', ['dense/kernel:0', './dense/kernel:0', 'dense/../dense/bias:0'])
def test_no_weight_is_read_twice(tmp_path: Path, name: str):
    harmless().save(tmp_path / HDF5)

    def name_it_again(file: h5py.File) -> None:
        group = file['model_weights/dense']
        group.attrs['weight_names'] = [b'dense/kernel:0', b'dense/bias:0', name.encode()]

    change_weights(tmp_path / HDF5, name_it_again)
    assert "the HDF5 attribute 'weight_names' of '/model_weights/dense'" in _refused(
        tmp_path / HDF5
    )


def test_an_archive_that_is_much_larger_unpacked_is_refused(tmp_path: Path):
    harmless().save(tmp_path / 'source.keras')
    zeros = bytes(2**25)
    rewrite_archive(
        tmp_path / 'source.keras',
        tmp_path / ARCHIVE,
        lambda name, content: zeros if name == 'config.json' else content,
        compression=zipfile.ZIP_DEFLATED,
    )
    assert 'bytes when unpacked, far more than' in _refused(tmp_path / ARCHIVE)


def test_a_member_that_claims_to_be_small_is_not_unpacked_further(tmp_path: Path):
    harmless().save(tmp_path / 'source.keras')
    zeros = bytes(2**25)
    rewrite_archive(
        tmp_path / 'source.keras',
        tmp_path / ARCHIVE,
        lambda name, content: zeros if name == 'config.json' else content,
        compression=zipfile.ZIP_DEFLATED,
    )
    content = (tmp_path / ARCHIVE).read_bytes()
    claim = len(zeros).to_bytes(4, 'little')
    assert content.count(claim) == 2  # before the member, and in the list at the end
    (tmp_path / ARCHIVE).write_bytes(content.replace(claim, (2).to_bytes(4, 'little')))
    with pytest.raises(ValueError, match='cannot be loaded'):
        load_model(tmp_path / ARCHIVE)


def test_an_archive_packed_in_another_way_is_refused(tmp_path: Path):
    harmless().save(tmp_path / 'source.keras')
    for compression in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        rewrite_archive(
            tmp_path / 'source.keras',
            tmp_path / ARCHIVE,
            lambda _, content: content,
            compression=compression,
        )
        assert 'neither stored nor deflated' in _refused(tmp_path / ARCHIVE)


def test_an_archive_that_was_packed_again_is_read(tmp_path: Path):
    model = harmless()
    model.save(tmp_path / 'source.keras')
    rewrite_archive(
        tmp_path / 'source.keras',
        tmp_path / ARCHIVE,
        lambda _, content: content,
        compression=zipfile.ZIP_DEFLATED,
    )
    loaded = load_model(tmp_path / ARCHIVE)
    np.testing.assert_array_equal(loaded.get_weights()[0], model.get_weights()[0])


@pytest.mark.parametrize('name', ['../outside', '/tmp/outside', 'assets/vocabulary.txt'])
def test_other_members_of_an_archive_are_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    scratch = tmp_path / 'scratch'
    scratch.mkdir()
    monkeypatch.setattr('tempfile.tempdir', str(scratch))
    harmless().save(tmp_path / ARCHIVE)
    with zipfile.ZipFile(tmp_path / ARCHIVE, 'a') as archive:
        archive.writestr(name, 'content')
    assert repr(name) in _refused(tmp_path / ARCHIVE)
    assert [path.name for path in tmp_path.rglob('*')] == [ARCHIVE, 'scratch']


def test_nothing_stays_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    scratch = tmp_path / 'scratch'
    scratch.mkdir()
    monkeypatch.setattr('tempfile.tempdir', str(scratch))
    harmless().save(tmp_path / ARCHIVE)
    load_model(tmp_path / ARCHIVE)
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize('name', ['keras_metadata.pb', 'variables', 'variables/variables.index'])
def test_a_saved_models_links_to_elsewhere_are_refused(tmp_path: Path, name: str):
    model = tmp_path / SAVED_MODEL
    harmless().save(model)
    outside = (model / name).rename(tmp_path / 'outside')
    (model / name).symlink_to(outside)
    assert 'which leads out of the folder' in _refused(model)


def test_a_saved_models_links_inside_of_its_folder_are_followed(tmp_path: Path):
    model = tmp_path / SAVED_MODEL
    harmless().save(model)
    (model / 'keras_metadata.pb').rename(model / 'metadata')
    (model / 'keras_metadata.pb').symlink_to('metadata')
    assert load_model(model).count_params() == 10


def test_what_is_no_file_in_a_saved_model_is_refused(tmp_path: Path):
    model = tmp_path / SAVED_MODEL
    harmless().save(model)
    (model / 'keras_metadata.pb').unlink()
    os.mkfifo(model / 'keras_metadata.pb')
    assert "'keras_metadata.pb', which is no file" in _refused(model)


def test_a_checkpoint_that_claims_more_than_it_stores_is_refused(tmp_path: Path):
    model = tmp_path / SAVED_MODEL
    harmless().save(model)
    (data,) = model.glob('variables/variables.data-*')
    os.truncate(data, 8)
    assert 'more than its 8' in _refused(model)


def test_a_checkpoint_of_other_things_than_numbers_is_refused(tmp_path: Path):
    model = tmp_path / SAVED_MODEL
    harmless().save(model)
    shutil.rmtree(model / 'variables')
    checkpoint = tf.train.Checkpoint(x=tf.Variable(1j))
    checkpoint.write(str(model / 'variables' / 'variables'))
    assert 'of the dtype complex128' in _refused(model)


@pytest.mark.parametrize('form', FORMATS)
@pytest.mark.parametrize(
    ('layer', 'shape', 'variable'),
    [
        (entry('Dense', {'units': 10**10}), None, 'layer_0/kernel'),
        (entry('Embedding', {'input_dim': 10**10, 'output_dim': 8}), None, 'layer_0/embeddings'),
        (entry('Conv2D', {'filters': 10**9, 'kernel_size': 3}), [None, 9, 9, 3], 'layer_0/kernel'),
        (entry('BatchNormalization', {}), [None, 10**10], 'layer_0/gamma'),
        (
            entry('TimeDistributed', {'layer': entry('Dense', {'units': 10**10})}),
            [None, 3, 4],
            'layer_0/kernel',
        ),
        (entry('LSTM', {'units': 10**6}), [None, 3, 4], 'lstm_cell/'),
        (
            entry('Normalization', {'mean': 1.0, 'variance': 1.0, 'axis': [-1]}),
            [None, 10**10],
            'layer_0/mean',
        ),
    ],
)
def test_far_more_weights_than_the_file_stores_are_refused_before_they_are_made(
    tmp_path: Path, form: str, layer: dict, shape: list[int | None] | None, variable: str
):
    message = _refused(write(tmp_path, form, network(layer, shape=shape)))
    assert 'layers with more than' in message
    assert variable in message
