"""A file is found by its name: no two files of the package have one name with two meanings."""

from __future__ import annotations

import collections

from tests.rooms import PACKAGE

# A method has its functions, its quantizers and its scheme, each in the room for them.
METHODS = {'dorefa', 'lsq', 'lsq_plus', 'n2uq', 'pact', 'sat'}
EVERYWHERE = {'__init__', '__main__'}


def test_no_two_files_have_the_same_name():
    names = collections.Counter(path.stem for path in PACKAGE.rglob('*.py'))
    repeated = {name for name, count in names.items() if count > 1}
    assert repeated <= METHODS | EVERYWHERE


def test_no_file_is_called_after_nothing():
    vague = {'utils', 'util', 'helpers', 'common', 'misc', 'tools', 'base_utils'}
    assert not vague & {path.stem for path in PACKAGE.rglob('*.py')}


def test_a_folder_has_at_most_some_twenty_files_of_at_most_some_400_lines():
    folders = collections.Counter(path.parent for path in PACKAGE.rglob('*.py'))
    assert {str(folder): count for folder, count in folders.items() if count > 24} == {}
    long = {
        path.name: lines
        for path in PACKAGE.rglob('*.py')
        if (lines := len(path.read_text(encoding='utf-8').splitlines())) > 450
    }
    assert long == {}
