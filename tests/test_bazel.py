"""The BUILD files load, and their libraries depend on each other one way."""

from __future__ import annotations

import ast
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.rooms import MAY_IMPORT, PACKAGE, ROOT, rooms

BAZEL = shutil.which('bazel')


def library_deps(build_file: Path, name: str) -> set[str]:
    """Returns the deps of one py_library, read as text: BUILD files are Python expressions."""
    for node in ast.walk(ast.parse(build_file.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == 'py_library':
            arguments = {keyword.arg: keyword.value for keyword in node.keywords}
            if ast.literal_eval(arguments['name']) == name:
                return set(ast.literal_eval(arguments.get('deps', ast.List([]))))
    raise AssertionError(f'{build_file} has no py_library {name!r}')


def _label(room: str) -> str:
    """Returns the Bazel package of a room."""
    return f'//tf_n2uq/{room.replace(".", "/")}'


@pytest.mark.parametrize('room', rooms())
def test_a_rooms_library_depends_on_exactly_the_rooms_it_may_import(room: str):
    expected = {_label(other) for other in MAY_IMPORT[room] & set(rooms())}
    path = PACKAGE / Path(*room.split('.'))
    assert library_deps(path / 'BUILD', path.name) == expected


def test_the_packages_library_depends_on_every_room():
    expected = {_label(room) for room in rooms()}
    assert library_deps(PACKAGE / 'BUILD', 'tf_n2uq') == expected


def test_every_test_folder_has_a_build_file():
    folders = {path.parent for path in (ROOT / 'tests').glob('*/**/test_*.py')}
    assert folders
    assert [str(path) for path in sorted(folders) if not (path / 'BUILD').is_file()] == []


@pytest.mark.skipif(BAZEL is None, reason='needs bazel (apt install bazel-bootstrap)')
def test_bazel_loads_every_build_file_without_a_network(tmp_path: Path):
    root = tmp_path / 'bazel'
    # --batch: no server stays behind.
    command = [
        *(str(BAZEL), '--batch', f'--output_user_root={root}'),
        *('query', '--noshow_progress', '--output=label_kind', '//...'),
    ]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    for path in root.rglob('*'):  # Bazel writes its own files read-only.
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
    shutil.rmtree(root)
    assert result.returncode == 0, result.stderr
    found = set(result.stdout.splitlines())
    assert {f'py_library rule {_label(room)}:{room.split(".")[-1]}' for room in rooms()} <= found
    tests = {
        f'py_test rule //{path.parent.relative_to(ROOT)}:{path.stem}'
        for path in (ROOT / 'tests').glob('*/**/test_*.py')
    }
    assert tests <= found
