"""Imports inside the package run one way."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.rooms import MAY_IMPORT, PACKAGE, ROOT, rooms


def imported_modules(source: str, package: str) -> Iterator[str]:
    """Yields the absolute names that a module of `package` imports, wherever in the file."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split('.')[: -node.level + 1 or None] if node.level else []
            module = '.'.join([*base, *([node.module] if node.module else [])])
            yield from (f'{module}.{alias.name}' for alias in node.names)


def foreign_rooms(source: str, package: str) -> set[str]:
    """Returns the other rooms that a module of `package` imports; '' is the package itself."""
    found = set()
    for name in imported_modules(source, package):
        if name.split('.')[0] == 'tf_n2uq':
            room = name.split('.')[1] if '.' in name else ''
            found.add(room if room in MAY_IMPORT else '')
    return found - {package.split('.')[1]}


@pytest.mark.parametrize(
    ('source', 'expected'),
    [
        ('import numpy as np', set()),
        ('from tf_n2uq.layers import Quantize', set()),
        ('from . import quantize', set()),
        ('from .. import ops', {'ops'}),
        ('from ..schemes.config import Config', {'schemes'}),
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
    for path in sorted((PACKAGE / room).rglob('*.py')):
        package = '.'.join(path.parent.relative_to(ROOT).parts)
        found = foreign_rooms(path.read_text(encoding='utf-8'), package) - MAY_IMPORT[room]
        if found:
            wrong[str(path.relative_to(ROOT))] = found
    assert not wrong


def test_the_package_itself_holds_public_names_and_nothing_else():
    tree = ast.parse((PACKAGE / '__init__.py').read_text(encoding='utf-8'))
    allowed = (ast.Import, ast.ImportFrom, ast.Assign)
    others = [node for node in tree.body if not isinstance(node, allowed)]
    docstring, *rest = others
    assert isinstance(docstring, ast.Expr)
    assert [ast.unparse(node) for node in rest] == []
