"""The rooms of the package, and which of them may import which: one place for every check."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / 'tf_n2uq'

_NUMERICS = {'_compat', 'ops', 'quantizers', 'layers'}
_GRAPH = _NUMERICS | {'graph'}
_PARTS = _GRAPH | {'schemes.annotation', 'schemes.calibration', 'schemes.rewrite'}
_SCHEMES = _PARTS | {'schemes.methods', 'schemes.adaptive', 'schemes'}
_FILES = _SCHEMES | {'tflite.levels', 'tflite.passes', 'tflite.network', 'tflite.running'}

# A room within a room has the outer room's name in front. An outer room that has rooms inside is
# only the files that lie in its own folder.
MAY_IMPORT: dict[str, set[str]] = {
    '_compat': set(),
    'ops': {'_compat'},
    'data': {'_compat'},
    'untrusted': set(),
    'quantizers': {'_compat', 'ops'},
    'layers': {'_compat', 'ops', 'quantizers'},
    'graph': _NUMERICS,
    'schemes.annotation': _GRAPH,
    'schemes.calibration': _GRAPH,
    'schemes.rewrite': _GRAPH | {'schemes.calibration'},
    'schemes.methods': _PARTS,
    'schemes.adaptive': _PARTS | {'schemes.methods'},
    'keras3': _GRAPH | {'schemes.annotation', 'untrusted'},
    'schemes': _PARTS | {'schemes.methods', 'schemes.adaptive', 'keras3'},
    'models': _SCHEMES,
    'checkpoints': _SCHEMES | {'models'},
    'training.losses': {'_compat', 'graph'},
    'training': _SCHEMES | {'training.losses'},
    'tflite.levels': set(),
    'tflite.passes': {'_compat', 'tflite.levels'},
    'tflite.network': _SCHEMES | {'tflite.levels', 'tflite.passes'},
    'known_layers': _GRAPH | {'schemes.rewrite', 'tflite.network'},
    'tflite.running': _GRAPH | {'tflite.passes'},
    'tflite.reports': _FILES,
    'tflite': _FILES | {'tflite.reports', 'untrusted'},
}


def room_of(module: str) -> str:
    """Returns the room that a module or name of the package lies in, '' for the package itself.

    Args:
        module: absolute name, for example `tf_n2uq.schemes.rewrite.separable`.
    """
    parts = module.split('.')[1:]
    while parts and '.'.join(parts) not in MAY_IMPORT:
        parts.pop()
    return '.'.join(parts)


def rooms() -> list[str]:
    """Returns the names of the rooms that exist."""
    folders = (path.parent.relative_to(PACKAGE) for path in PACKAGE.rglob('__init__.py'))
    return sorted('.'.join(folder.parts) for folder in folders if folder.parts)


def imported_modules(source: str, package: str) -> Iterator[str]:
    """Yields the absolute names that a module imports, wherever in the file.

    Args:
        source: text of the module.
        package: absolute name of the package that the module lies in, for relative imports.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package.split('.')[: -node.level + 1 or None] if node.level else []
            module = '.'.join([*base, *([node.module] if node.module else [])])
            yield from (f'{module}.{alias.name}' for alias in node.names)
