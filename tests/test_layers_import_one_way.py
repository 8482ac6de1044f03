"""Imports inside the package run one way."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.rooms import MAY_IMPORT, PACKAGE, ROOT, imported_modules, room_of, rooms


def foreign_rooms(source: str, package: str) -> set[str]:
    """Returns the other rooms that a module of `package` imports; '' is the package itself."""
    names = imported_modules(source, package)
    found = {room_of(name) for name in names if name.split('.')[0] == 'tf_n2uq'}
    return found - {room_of(package)}


@pytest.mark.parametrize(
    ('source', 'expected'),
    [
        ('import numpy as np', set()),
        ('from tf_n2uq.layers import Quantize', set()),
        ('from . import quantize', set()),
        ('from .. import ops', {'ops'}),
        ('from ..schemes.rewrite.assignment import Assignment', {'schemes.rewrite'}),
        ('from ..schemes.calibrate import calibrate', {'schemes'}),
        ('if TYPE_CHECKING:\n    from tf_n2uq.graph import graph', {'graph'}),
        ('from tf_n2uq import training', {'training'}),
        ('import tf_n2uq.models.resnet as resnet', {'models'}),
        ('def f():\n    from tf_n2uq.tflite import convert', {'tflite'}),
        ('import tf_n2uq', {''}),
        ('from tf_n2uq import N2UQScheme', {''}),
    ],
)
def test_every_form_of_import_is_seen(source: str, expected: set[str]):
    assert foreign_rooms(source, 'tf_n2uq.layers') == expected


def test_every_room_has_its_place_in_the_order():
    assert rooms()
    assert set(rooms()) <= set(MAY_IMPORT)


def test_the_order_has_no_circle():
    placed: set[str] = set()
    while len(placed) < len(MAY_IMPORT):
        ready = {room for room, may in MAY_IMPORT.items() if may <= placed} - placed
        assert ready, f'a circle among {set(MAY_IMPORT) - placed}'
        placed |= ready


@pytest.mark.parametrize('room', rooms())
def test_a_room_imports_only_what_it_may(room: str):
    wrong = {}
    for path in sorted((PACKAGE / Path(*room.split('.'))).glob('*.py')):
        package = '.'.join(path.parent.relative_to(ROOT).parts)
        found = foreign_rooms(path.read_text(encoding='utf-8'), package) - MAY_IMPORT[room]
        if found:
            wrong[str(path.relative_to(ROOT))] = found
    assert not wrong


@pytest.mark.parametrize('room', rooms())
def test_the_files_of_a_room_import_each_other_without_a_circle(room: str):
    files = {path.stem: path for path in (PACKAGE / Path(*room.split('.'))).glob('*.py')}
    package = f'tf_n2uq.{room}'
    waiting: dict[str, set[str]] = {}
    for name, path in files.items():
        imported = imported_modules(path.read_text(encoding='utf-8'), package)
        parts = [module.removeprefix(f'{package}.').split('.')[0] for module in imported]
        waiting[name] = set(parts) & set(files) - {name}
    while ready := [name for name, others in waiting.items() if not others & set(waiting)]:
        for name in ready:
            del waiting[name]
    assert waiting == {}


def test_the_package_itself_holds_public_names_and_nothing_else():
    tree = ast.parse((PACKAGE / '__init__.py').read_text(encoding='utf-8'))
    allowed = (ast.Import, ast.ImportFrom, ast.Assign)
    others = [node for node in tree.body if not isinstance(node, allowed)]
    docstring, *rest = others
    assert isinstance(docstring, ast.Expr)
    assert [ast.unparse(node) for node in rest] == []
