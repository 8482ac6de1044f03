"""Folders that cannot be written, and files that are replaced whole."""

import os

import pytest

from tf_n2uq.training import files


def test_folder_is_created_with_its_parents_and_left_empty(tmp_path):
    folder = files.writable_folder(tmp_path / 'a' / 'b', 'out')
    assert os.listdir(folder) == []


@pytest.mark.parametrize('below', ['', 'run', 'deep/run'])
def test_path_at_or_below_a_regular_file_is_refused(tmp_path, below):
    (tmp_path / 'file').write_text('kept')
    with pytest.raises(OSError, match='out: expected a folder that can be written'):
        files.writable_folder(tmp_path / 'file' / below, 'out')
    assert (tmp_path / 'file').read_text() == 'kept'


def test_read_only_file_system_is_refused():
    with pytest.raises(OSError, match='out: expected a folder that can be written'):
        files.writable_folder('/proc/run', 'out')


@pytest.mark.parametrize('path', [None, 3, b'run'])
def test_what_is_no_path_is_refused(path):
    with pytest.raises(TypeError, match='out: expected the path of a folder'):
        files.writable_folder(path, 'out')


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = str(tmp_path / 'value.json')
    files.replace_text(path, 'old')

    def fail(temporary):
        with open(temporary, 'w') as file:
            file.write('half')
        raise RuntimeError('disk full')

    with pytest.raises(RuntimeError, match='disk full'):
        files.replace_file(path, fail)
    assert os.listdir(tmp_path) == ['value.json']
    with open(path) as file:
        assert file.read() == 'old'
