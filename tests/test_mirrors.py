"""Every module has a test file that mirrors it, or a test that imports it by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rooms import PACKAGE, ROOT, imported_modules

TESTS = ROOT / 'tests'
# `tests/data/` holds the reference values, so the tests of `tf_n2uq.data` have another folder.
OTHER_FOLDERS = {'data': 'data_sets'}


def mirror_of(module: Path) -> Path:
    """Returns the path of the test file that mirrors a module."""
    room, *inner = module.relative_to(PACKAGE).parent.parts or ('',)
    name = module.stem.strip('_')
    return TESTS.joinpath(OTHER_FOLDERS.get(room, room), *inner, f'test_{name}.py')


def name_of(module: Path) -> str:
    """Returns the name by which a module is imported."""
    return '.'.join(module.relative_to(ROOT).with_suffix('').parts)


def modules() -> list[Path]:
    """Returns the paths of all modules; an `__init__` only passes on names of others."""
    return [path for path in sorted(PACKAGE.rglob('*.py')) if path.stem != '__init__']


def modules_imported_by_tests() -> set[str]:
    """Returns the names of the modules that tests import, or import names of."""
    found: set[str] = set()
    for path in TESTS.rglob('test_*.py'):
        package = '.'.join(path.parent.relative_to(ROOT).parts)
        for name in imported_modules(path.read_text(encoding='utf-8'), package):
            found.update({name, name.rpartition('.')[0]})
    return found


@pytest.mark.parametrize(
    ('module', 'mirror'),
    [
        ('graph/graph.py', 'graph/test_graph.py'),
        ('schemes/rewrite/separable.py', 'schemes/rewrite/test_separable.py'),
        ('data/idx.py', 'data_sets/test_idx.py'),
        ('tflite/__main__.py', 'tflite/test_main.py'),
        ('tflite/running/_arena.py', 'tflite/running/test_arena.py'),
    ],
)
def test_a_mirror_lies_in_the_same_room(module: str, mirror: str):
    assert (PACKAGE / module).is_file()
    assert mirror_of(PACKAGE / module) == TESTS / mirror


def test_every_module_has_a_mirror_or_a_test_that_imports_it():
    imported = modules_imported_by_tests()
    without = [
        str(path.relative_to(ROOT))
        for path in modules()
        if not mirror_of(path).is_file() and name_of(path) not in imported
    ]
    assert modules()
    assert without == []
