"""Reports as text of at most 100 columns: tables, and lines with a title."""

from __future__ import annotations

import textwrap
from collections.abc import Collection, Iterable, Sequence

WIDTH = 100
_TITLE_WIDTH = 15


def format_table(
    head: Sequence[str], rows: Iterable[Sequence[str]], right: Collection[str] = ()
) -> list[str]:
    """Returns the lines of a table: its head, a rule, and a line per row.

    Args:
        head: titles of the columns.
        rows: the cells of each row, as many as there are titles.
        right: titles of the columns that are aligned at their right end, as numbers are.
    """
    cells = [tuple(head), *map(tuple, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]

    def line(row: Sequence[str]) -> str:
        aligned = [
            cell.rjust(width) if title in right else cell.ljust(width)
            for cell, width, title in zip(row, widths, head, strict=True)
        ]
        return '  '.join(aligned).rstrip()

    return [line(cells[0]), '  '.join('-' * width for width in widths), *map(line, cells[1:])]


def titled(title: str, value: str) -> list[str]:
    """Returns the lines of a text with a title; lines below the first are indented.

    Args:
        title: the title, which stands in front of the first line.
        value: the text.
    """
    return textwrap.wrap(
        value,
        width=WIDTH,
        initial_indent=title.ljust(_TITLE_WIDTH),
        subsequent_indent=' ' * _TITLE_WIDTH,
    )


def shortened(name: str, width: int) -> str:
    """Returns a name, or its end behind `…` if the name is too long.

    Args:
        name: the name. Names of layers differ at their ends more often than at their starts.
        width: the largest number of characters.
    """
    return name if len(name) <= width else f'…{name[1 - width :]}'
