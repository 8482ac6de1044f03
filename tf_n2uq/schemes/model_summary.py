"""A table of the layers of a quantized Keras model, with bits, sizes and work."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import tf_keras as keras

from tf_n2uq.graph.checks import check_model
from tf_n2uq.graph.decisions import Decisions, decide
from tf_n2uq.graph.graph import Graph, Step
from tf_n2uq.layers import QuantizedKernel
from tf_n2uq.layers.layer_spec import Kind, spec_of
from tf_n2uq.schemes.adaptive.switching import active_bits, bit_widths
from tf_n2uq.schemes.text_table import WIDTH, format_table, shortened, titled

_FLOAT_BITS = 32
_HEAD = (
    'layer',
    'kind',
    'kernel',
    'kernel bits',
    'input bits',
    'params',
    'bytes',
    'mult-adds',
)
_SHORTEST_NAME = 8


def summary(model: keras.Model, print_fn: Callable[[str], object] = print) -> None:
    """Prints the bits, sizes and work of every layer with a kernel, and totals.

    For an adaptive model, the table shows the active bit-width, and the line `others` counts the
    values of all bit-widths. The bytes of a kernel follow from its bits; all other values count 32
    bits. A file may store more, for example INT4 for kernels of 2 and 3 bits;
    `tf_n2uq.tflite.inspect` shows the bytes of a file.

    Args:
        model: a built Sequential or Functional model, quantized or not.
        print_fn: called with each line, as in `model.summary`.

    Raises:
        TypeError: if `model` is not a tf_keras model.
        ValueError: if `model` is subclassed or not built.
    """
    check_model(model)
    graph = Graph.of_layers(model)
    decisions = decide(graph)
    kernels = [step for step in graph.in_order() if step.spec.kind is Kind.KERNEL]
    rows = [_read_row(graph, decisions, step) for step in kernels]
    for line in [*_table(rows), '', *_totals(model, rows)]:
        print_fn(line)


@dataclasses.dataclass(frozen=True)
class _Row:
    """One call of one layer with a kernel.

    Attributes:
        layer: the layer with the kernel, without its wrapper.
        kernels: the shape and the bits of each kernel of the layer.
        input_bits: the bits of the layer's input.
        multiply_adds: the number of products per image; None if the size of images is not known.
    """

    layer: keras.layers.Layer
    kernels: list[tuple[tuple[int, ...], int]]
    input_bits: int
    multiply_adds: int | None

    @property
    def values(self) -> int:
        return self.layer.count_params()

    @property
    def kernel_values(self) -> int:
        return sum(math.prod(shape) for shape, _ in self.kernels)

    @property
    def kernel_bits(self) -> int:
        """Bits of all values of the kernels."""
        return sum(bits * math.prod(shape) for shape, bits in self.kernels)

    @property
    def size(self) -> int:
        """Bytes of kernels and bias."""
        return _bytes(self.kernel_bits + _FLOAT_BITS * (self.values - self.kernel_values))


def _read_row(graph: Graph, decisions: Decisions, step: Step) -> _Row:
    layer: Any = step.layer
    bits: dict[str, int] = {}
    if isinstance(layer, QuantizedKernel):
        bits = {name: quantizer.bits for name, quantizer, _ in layer.kernel_quantizers}
        layer = layer.layer
    spec = spec_of(layer)
    names = [] if spec is None else [name for name, _ in spec.kernels]
    shapes = {name: tuple(getattr(layer, name).shape) for name in names}
    return _Row(
        layer=layer,
        kernels=[(shapes[name], bits.get(name, _FLOAT_BITS)) for name in names],
        input_bits=_input_bits(graph, decisions, step),
        multiply_adds=_multiply_adds(shapes, graph.shape(step.output)),
    )


def _input_bits(graph: Graph, decisions: Decisions, step: Step) -> int:
    """Returns the bits of the quantizer that makes the input of a call, 32 without a quantizer."""
    quantizer = decisions.input_quantizers.get(step.name)
    if quantizer is None:
        return _FLOAT_BITS
    return getattr(graph.steps[quantizer].layer.quantizer, 'bits', _FLOAT_BITS)


def _multiply_adds(
    shapes: dict[str, tuple[int, ...]], output: tuple[int | None, ...]
) -> int | None:
    """Returns the number of products per image; None if the size of the output is not known.

    Each value of a kernel is multiplied once for each position of the output, whose shape is
    `[batch, …, channels]`.
    """
    positions = output[1:-1]
    if any(size is None for size in positions):
        return None
    return math.prod(size or 0 for size in positions) * sum(map(math.prod, shapes.values()))


def _table(rows: list[_Row]) -> list[str]:
    cells = [_cells(row) for row in rows]
    others = [max(map(len, column)) + 2 for column in list(zip(_HEAD, *cells, strict=True))[1:]]
    width = max(_SHORTEST_NAME, WIDTH - sum(others))
    named = [(shortened(row[0], width), *row[1:]) for row in cells]
    return format_table(_HEAD, named, right=_HEAD[3:])


def _cells(row: _Row) -> tuple[str, ...]:
    return (
        row.layer.name,
        type(row.layer).__name__,
        ' '.join('×'.join(map(str, shape)) for shape, _ in row.kernels),
        ' '.join(str(bits) for _, bits in row.kernels),
        str(row.input_bits),
        f'{row.values:,}',
        f'{row.size:,}',
        '-' if row.multiply_adds is None else f'{row.multiply_adds:,}',
    )


def _totals(model: keras.Model, rows: list[_Row]) -> list[str]:
    # A layer that is called twice has its variables once.
    layers = {id(row.layer): row for row in rows}.values()
    kernel_values = sum(row.kernel_values for row in layers)
    kernel_bits = sum(row.kernel_bits for row in layers)
    others = model.count_params() - kernel_values
    total = _bytes(kernel_bits + _FLOAT_BITS * others)
    in_float = _bytes(_FLOAT_BITS * (kernel_values + others))
    work: dict[str, int] = {}
    for row in rows:
        name = '×'.join(str(bits) for bits in (row.kernels[0][1], row.input_bits))
        work[name] = work.get(name, 0) + (row.multiply_adds or 0)
    bits_per_weight = kernel_bits / kernel_values if kernel_values else 0.0
    widths = ', '.join(map(str, bit_widths(model)))
    return [
        *(titled('bit-widths', f'{widths}; shown at {active_bits(model)}') if widths else []),
        *titled('kernels', f'{kernel_values:,} values, {_bytes(kernel_bits):,} bytes'),
        *titled('', f'{bits_per_weight:.2f} bits per weight'),
        *titled('others', f'{others:,} values, {_bytes(_FLOAT_BITS * others):,} bytes'),
        *titled('total', f'{total:,} bytes; {in_float:,} in float'),
        *titled(
            'mult-adds',
            f'{sum(work.values()):,} per image; by bits of kernel and input: '
            + (', '.join(f'{name} {count:,}' for name, count in work.items()) or 'none'),
        ),
    ]


def _bytes(bits: int) -> int:
    return -(-bits // 8)
