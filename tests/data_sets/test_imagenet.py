"""ImageNet is found in a folder, in each of its usual forms."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tf_n2uq import data


def test_imagenet_of_tensorflow_datasets_has_to_be_prepared_first(tmp_path: Path):
    (tmp_path / 'imagenet2012').mkdir()
    with pytest.raises(FileNotFoundError, match=r'imagenet2012.*tfds build imagenet2012'):
        data.load_imagenet(tmp_path)


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, 'tensorflow_datasets', None)
    with pytest.raises(ImportError, match=r"source: 'tfds'.*pip install 'tf_n2uq\[data\]'"):
        data.load_imagenet(None, source='tfds')


def test_a_folder_is_found_by_itself(image_dir: Path):
    assert data.load_imagenet(image_dir).name == 'folder'
    assert data.load_imagenet(str(image_dir)).train.examples == 6


def test_nothing_to_be_found_says_what_was_looked_for(tmp_path: Path):
    message = r'data_dir: expected .*train/CLASS.*train-\*.*imagenet2012.*'
    with pytest.raises(FileNotFoundError, match=f'{message}has none of these'):
        data.load_imagenet(tmp_path)
    with pytest.raises(FileNotFoundError, match=f'{message}is not a folder'):
        data.load_imagenet(tmp_path / 'nowhere')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (
            {'source': 'lmdb'},
            r"source: expected one of folder, tfrecords, tfds or auto, got 'lmdb'",
        ),
        ({'label_offset': 1}, r"label_offset: expected None for the source 'folder'.*got 1. Leave"),
        ({'classes': 9}, r"classes: expected None for the source 'folder'.*got 9. Leave"),
        ({'data_dir': None}, r"data_dir: expected a folder for the source 'auto', got None. Give"),
        ({'data_dir': None, 'source': 'folder'}, r"source 'folder', got None"),
    ],
)
def test_a_wrong_argument_of_loading_is_named(image_dir: Path, arguments, message):
    with pytest.raises(ValueError, match=message):
        data.load_imagenet(**{'data_dir': image_dir} | arguments)
