"""Which operators and kernels of XNNPACK the instructions of an inference belong to.

`arm_instructions.c` counts instructions by their addresses, and parts the counts of one operator
from those of the next. This module finds the functions at these addresses: LiteRT's library for
ARM64 Linux has a table of symbols. It puts each operator down to the function that runs most of the
operator's instructions, its kernel.
"""

from __future__ import annotations

import bisect
import collections
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

Counts = collections.Counter[str]
"""Numbers of instructions by the name of their function."""

# XNNPACK calls the first one at the start of each of its operators, the interpreter the second one
# at the end of each operator of its own and of all of XNNPACK's together.
_BETWEEN_OPERATORS = (
    'xnn_run_operator_with_index',
    '_ZN6tflite8Subgraph26MaybeReleaseDynamicTensorsERK10TfLiteNodem',
)
_ENTRY_WORDS, _PAGE = 8, 0x1000
# The structures of the file format ELF, for 64 bits and little endian.
_SECTION = np.dtype(
    [
        *(('name', '<u4'), ('type', '<u4'), ('flags', '<u8'), ('address', '<u8')),
        *(('offset', '<u8'), ('size', '<u8'), ('link', '<u4'), ('info', '<u4')),
        *(('alignment', '<u8'), ('entry_size', '<u8')),
    ]
)
_SYMBOL = np.dtype(
    [
        *(('name', '<u4'), ('info', 'u1'), ('other', 'u1'), ('section', '<u2')),
        *(('address', '<u8'), ('size', '<u8')),
    ]
)
_SYMBOL_TABLE, _FUNCTION = 2, 2


class Library:
    """The functions of a shared library (ELF, 64 bits).

    Args:
        path: The library.

    Raises:
        ValueError: If the library has no table of symbols.
    """

    def __init__(self, path: Path) -> None:
        self._content = path.read_bytes()
        header = np.frombuffer(self._content, '<u8', 1, 40)
        count = np.frombuffer(self._content, '<u2', 1, 60)
        self._sections = np.frombuffer(self._content, _SECTION, int(count[0]), int(header[0]))
        tables = self._sections[self._sections['type'] == _SYMBOL_TABLE]
        if not len(tables):
            raise ValueError(f'{path}: expected a table of symbols; this library is stripped')
        table = tables[0]
        symbols = np.frombuffer(
            self._content, _SYMBOL, int(table['size']) // _SYMBOL.itemsize, int(table['offset'])
        )
        functions = symbols[(symbols['info'] & 15 == _FUNCTION) & (symbols['section'] > 0)]
        self._functions = np.sort(functions, order='address')
        self._addresses = self._functions['address'].tolist()
        self._names = int(self._sections[table['link']]['offset'])

    def function_at(self, address: int) -> str:
        """Returns the name of the function that an address is in, or begins behind."""
        index = bisect.bisect_right(self._addresses, address) - 1
        return self._name(index) if index >= 0 else '?'

    def between_operators(self) -> list[str]:
        """Returns the plugin's options that tell it where operators start.

        Raises:
            ValueError: If the library lacks one of the functions.
        """
        indices = {self._name(index): index for index in range(len(self._addresses))}
        options = []
        for name in _BETWEEN_OPERATORS:
            if name not in indices:
                raise ValueError(f'{name}: this version of LiteRT has no such function')
            function = self._functions[indices[name]]
            section, address = self._sections[function['section']], int(function['address'])
            offset = address - int(section['address']) + int(section['offset'])
            words = np.frombuffer(self._content, '<u4', _ENTRY_WORDS, offset)
            numbers = [f'{address % _PAGE:x}', *(f'{word:08x}' for word in words)]
            options.append(f'operator={":".join(numbers)}')
        return options

    def _name(self, index: int) -> str:
        start = self._names + int(self._functions[index]['name'])
        return self._content[start : self._content.index(b'\0', start)].decode()


def read_operators(blocks: Path, maps: Path, library: Path) -> list[Counts]:
    """Returns the instructions of each operator, in order, by function.

    Args:
        blocks: What the plugin wrote.
        maps: The memory of the process, as in /proc/self/maps.
        library: LiteRT's library.

    Returns:
        What runs before the first operator, and then a count for each operator. The last one has
        also what runs behind it.
    """
    functions = Library(library)
    areas = sorted(_areas(maps))
    starts = [start for start, _, _ in areas]
    base = min(start for start, _, file in areas if file.name == library.name)

    def function_at(address: int) -> str:
        index = bisect.bisect_right(starts, address) - 1
        _, end, file = areas[index] if index >= 0 else (0, 0, Path())
        if address >= end:
            return '?'
        return functions.function_at(address - base) if file.name == library.name else file.name

    operators = [Counts()]
    for block in counted_blocks(blocks):
        if block is None:
            operators.append(Counts())
        else:
            address, instructions = block
            operators[-1][function_at(address)] += instructions
    return operators


def counted_blocks(path: Path) -> Iterator[tuple[int, int] | None]:
    """Yields what the plugin wrote: address and instructions of a block, or None for an operator.

    Raises:
        ValueError: If the file is not what the plugin writes.
    """
    with open(path, encoding='ascii') as lines:
        for line in lines:
            if line == '-\n':
                yield None
                continue
            address, runs, length, *instructions = line.split()
            if len(instructions) != int(length):
                raise ValueError(f'{path}: expected {length} instructions, got {line!r}')
            yield int(address, 16), int(runs) * int(length)


def _areas(maps: Path) -> Iterator[tuple[int, int, Path]]:
    """Yields start, end and file of each area of memory that holds a file."""
    for line in maps.read_text(encoding='utf-8').splitlines():
        bounds, _, _, _, _, *file = line.split(maxsplit=5)
        if file:
            start, end = (int(bound, 16) for bound in bounds.split('-'))
            yield start, end, Path(file[0])


def kernel_table(operators: Sequence[Counts]) -> str:
    """Returns a table in Markdown: the kernels, with their operators together."""
    counts, numbers = Counts(), Counts()
    for operator in operators[1:]:
        counts[kernel_of(operator)] += operator.total()
        numbers[kernel_of(operator)] += 1
    total = counts.total() + operators[0].total()
    lines = ['| kernel | operators | millions | share |', '|---|---|---|---|']
    for kernel, count in counts.most_common():
        share = f'{count / total:.1%}'.replace('%', ' %')
        lines.append(f'| {kernel} | {numbers[kernel]} | {count / 1e6:.3f} | {share} |')
    return '\n'.join(lines)


def operator_table(operators: Sequence[Counts]) -> str:
    """Returns a table in Markdown: the operators, in the order in which they run."""
    lines = ['| operator | kernel | millions |', '|---|---|---|']
    for number, operator in enumerate(operators[1:], 1):
        lines.append(f'| {number} | {kernel_of(operator)} | {operator.total() / 1e6:.3f} |')
    return '\n'.join(lines)


def kernel_of(operator: Counts) -> str:
    """Returns the function that runs most of an operator's instructions."""
    ((name, _),) = operator.most_common(1)
    return name
