"""Draws which room of the package imports which, and writes the picture into the docs.

    python tools/draw_rooms.py

A room is a folder of `tf_n2uq` with an `__init__.py`. The script reads the import statements of
all files, finds the rooms that they name, and writes a Mermaid flowchart between the two marks in
docs/architecture.md. Documentation sites and code hosts draw Mermaid by themselves.

An arrow means "imports". An arrow that follows from others is left out: if a room imports a second
room, and the second one a third, then an arrow from the first to the third says nothing new.
"""

from __future__ import annotations

import ast
import graphlib
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / 'docs' / 'architecture.md'
BEGIN = '<!-- The picture begins. `python tools/draw_rooms.py` writes it. -->'
END = '<!-- The picture ends. -->'

Imports = Mapping[str, set[str]]


def find_rooms(package: Path) -> list[str]:
    """Returns the rooms of a package by their folders, such as `tflite/passes`.

    Args:
        package: The folder of the package.
    """
    folders = (path.parent for path in package.rglob('__init__.py'))
    return sorted(path.relative_to(package).as_posix() for path in folders if path != package)


def imported_names(source: str) -> Iterator[str]:
    """Yields the dotted names that a file imports, wherever in the file.

    Args:
        source: The Python text. Its imports are absolute.

    Raises:
        ValueError: An import is relative.
    """
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(
                    f'imports: expected absolute names, got {ast.unparse(node)!r}; '
                    'write the name from tf_n2uq on'
                )
            yield from (f'{node.module}.{alias.name}' for alias in node.names)


def room_of(name: str, package: str, rooms: list[str]) -> str | None:
    """Returns the innermost room that a dotted name is in, or None for a foreign name.

    Args:
        name: For example `tf_n2uq.tflite.passes.dense.connect_fully`.
        package: The name of the package, `tf_n2uq`.
        rooms: The rooms of the package.
    """
    first, *rest = name.split('.')
    if first != package:
        return None
    folders = ('/'.join(rest[:length]) for length in range(len(rest), 0, -1))
    return next((folder for folder in folders if folder in rooms), None)


def read_imports(package: Path) -> dict[str, set[str]]:
    """Returns, for each room of a package, the other rooms that its files import.

    Args:
        package: The folder of the package.
    """
    rooms = find_rooms(package)
    imports: dict[str, set[str]] = {room: set() for room in rooms}
    for room in rooms:
        for path in (package / room).glob('*.py'):
            names = imported_names(path.read_text(encoding='utf-8'))
            found = {room_of(name, package.name, rooms) for name in names}
            imports[room] |= {other for other in found if other is not None and other != room}
    return imports


def without_detours(imports: Imports) -> dict[str, set[str]]:
    """Leaves out each import that follows from others.

    Args:
        imports: The rooms that each room imports.

    Raises:
        graphlib.CycleError: The rooms import each other in a circle.
    """
    reachable: dict[str, set[str]] = {}
    for room in graphlib.TopologicalSorter(imports).static_order():
        direct = imports[room]
        reachable[room] = direct.union(*(reachable[other] for other in direct))
    return {
        room: {
            other
            for other in direct
            if not any(other in reachable[between] for between in direct - {other})
        }
        for room, direct in imports.items()
    }


def to_mermaid(imports: Imports) -> str:
    """Returns a Mermaid flowchart, the importing rooms above the imported ones.

    A folder that has rooms inside is drawn as a frame. The files that lie in the folder itself are
    one box of the frame.

    Args:
        imports: The arrows to draw.
    """
    frames = {room.split('/')[0] for room in imports if '/' in room}
    lines = ['flowchart TD']
    for top in sorted({room.split('/')[0] for room in imports}):
        inner = sorted(room for room in imports if room.startswith(f'{top}/'))
        if top not in frames:
            lines.append(f'    {_box(top)}["{top}/"]')
            continue
        lines.append(f'    subgraph frame_{top}["{top}/"]')
        lines.append(f'        {_box(top)}["{top}/*.py"]')
        lines += [f'        {_box(room)}["{room.removeprefix(top)[1:]}/"]' for room in inner]
        lines.append('    end')
    for room in sorted(imports):
        lines += [f'    {_box(room)} --> {_box(other)}' for other in sorted(imports[room])]
    return '\n'.join(lines)


def _box(room: str) -> str:
    return f'room_{room.replace("/", "_")}'


def with_picture(page: str, picture: str) -> str:
    """Returns the text of a page with a new picture between the marks.

    Args:
        page: The Markdown text. It has both marks, each once.
        picture: The Mermaid flowchart.
    """
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f'{before}{BEGIN}\n\n```mermaid\n{picture}\n```\n\n{END}{after}'


def main() -> None:
    """Writes the picture of the package as it is now into docs/architecture.md."""
    picture = to_mermaid(without_detours(read_imports(ROOT / 'tf_n2uq')))
    page = PAGE.read_text(encoding='utf-8')
    PAGE.write_text(with_picture(page, picture), encoding='utf-8')


if __name__ == '__main__':
    main()
