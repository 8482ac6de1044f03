"""What is in a TFLite file, as a report."""

import collections
import dataclasses
import textwrap
from typing import Any

from tf_n2uq.tflite import flatbuffer
from tf_n2uq.tflite.interpreter import Delegation, xnnpack_delegation
from tf_n2uq.tflite.verify import integer_violations

_LAYERS = ('CONV_2D', 'DEPTHWISE_CONV_2D', 'FULLY_CONNECTED', 'TRANSPOSE_CONV')
# Where an operator has its kernel and its input; the others have them at 1 and 0.
_KERNEL_INPUT, _DATA_INPUT = 1, {'TRANSPOSE_CONV': 2}
# What may stand between a run of comparators and the layer that it is for.
_TRANSPARENT = ('CONCATENATION', 'PAD', 'PADV2', 'RESHAPE', 'STRIDED_SLICE')
_NAME_WIDTH = 44
_TITLE_WIDTH = 15
_MOST_VIOLATIONS = 5


@dataclasses.dataclass(frozen=True)
class LayerReport:
    """One layer with a kernel.

    Attributes:
        operator: The schema's name of the operator, such as `CONV_2D`.
        name: The name of its output tensor.
        kernel_type: The schema's name of the kernel's type, such as `INT4`.
        kernel_bits: Bits per stored value; None if the type has no fixed size.
        kernel_shape: The kernel's shape.
        kernel_bytes: Bytes of the stored kernel; 0 if it is computed.
        scales: 'per channel', 'per tensor' or 'none', for a float kernel.
        comparators: Comparators that make this layer's input.
    """

    operator: str
    name: str
    kernel_type: str
    kernel_bits: int | None
    kernel_shape: tuple[int, ...]
    kernel_bytes: int
    scales: str
    comparators: int


@dataclasses.dataclass(frozen=True)
class TensorReport:
    """An input or output of the file; scale and zero point are None if it is not quantized."""

    name: str
    type: str
    shape: tuple[int, ...]
    scale: float | None
    zero_point: int | None

    def __str__(self) -> str:
        quantized = (
            '' if self.scale is None else f', scale {self.scale:.6g}, zero {self.zero_point}'
        )
        return f'{self.name}: {self.type} {list(self.shape)}{quantized}'


@dataclasses.dataclass(frozen=True)
class Inspection:
    """A TFLite file's contents. `str()` of it is a table.

    Attributes:
        file_bytes: The file's size.
        layers: The layers with kernels, in the order of execution.
        constant_bytes: Bytes of constants by type of tensor.
        operators: Number of operators by name.
        delegation: What XNNPACK computes of it.
        violations: What keeps it from being integer-only, a line each.
        inputs: The file's inputs.
        outputs: The file's outputs.
    """

    file_bytes: int
    layers: tuple[LayerReport, ...]
    constant_bytes: dict[str, int]
    operators: dict[str, int]
    delegation: Delegation
    violations: tuple[str, ...]
    inputs: tuple[TensorReport, ...]
    outputs: tuple[TensorReport, ...]

    @property
    def kernel_bytes(self) -> int:
        """Bytes of all kernels together."""
        return sum(layer.kernel_bytes for layer in self.layers)

    @property
    def comparators(self) -> int:
        """Comparators of all layers together."""
        return sum(layer.comparators for layer in self.layers)

    @property
    def xnnpack_partitions(self) -> int:
        """Runs of operators that XNNPACK computes as one."""
        return self.delegation.partitions

    @property
    def integer_only(self) -> bool:
        """Whether it computes in integers from input to output, with built-in operators."""
        return not self.violations

    def __str__(self) -> str:
        return '\n'.join([*_layer_table(self.layers), '', *_summary(self)])


def inspect(content: bytes) -> Inspection:
    """Reports a TFLite file's kernels, comparators, operators, sizes and XNNPACK coverage.

    Args:
        content: The file's bytes; they need not be trusted.

    Returns:
        The report.

    Raises:
        TypeError: `content` is not bytes.
        ValueError: `content` is not a TFLite file that the interpreter can prepare.
    """
    model = flatbuffer.read(content)
    graph = flatbuffer.main_graph(model)
    names = [flatbuffer.operator_name(model, operator) for operator in graph.operators]
    return Inspection(
        file_bytes=len(content),
        layers=tuple(_layers(model, graph)),
        constant_bytes=_constant_bytes(model),
        operators=dict(collections.Counter(names).most_common()),
        delegation=xnnpack_delegation(content),
        violations=tuple(integer_violations(model)),
        inputs=tuple(_interface(graph.tensors[index]) for index in graph.inputs),
        outputs=tuple(_interface(graph.tensors[index]) for index in graph.outputs),
    )


def _layers(model: Any, graph: Any) -> list[LayerReport]:
    makers = flatbuffer.producers(graph)
    layers = []
    for operator in graph.operators:
        name = flatbuffer.operator_name(model, operator)
        data = _DATA_INPUT.get(name, 0)
        if name not in _LAYERS or len(operator.inputs) <= max(data, _KERNEL_INPUT):
            continue
        if not len(operator.outputs) or operator.inputs[_KERNEL_INPUT] < 0:
            continue
        kernel = graph.tensors[operator.inputs[_KERNEL_INPUT]]
        scales = len(flatbuffer.scales_of(kernel))
        layers.append(
            LayerReport(
                operator=name,
                name=flatbuffer.text(graph.tensors[operator.outputs[0]].name),
                kernel_type=flatbuffer.type_name(kernel),
                kernel_bits=flatbuffer.type_bits(kernel),
                kernel_shape=flatbuffer.shape_of(kernel),
                kernel_bytes=len(flatbuffer.buffer_bytes(model, kernel)),
                scales=('none', 'per tensor', 'per channel')[min(scales, 2)],
                comparators=_comparators(model, graph, int(operator.inputs[data]), makers),
            )
        )
    return layers


def _comparators(model: Any, graph: Any, index: int, makers: dict[int, Any]) -> int:
    """Number of comparators that add up to a tensor; 0 if it is anything else than such a sum."""
    pending, seen, comparators = [index], set(), 0
    while pending:
        index = pending.pop()
        maker = makers.get(index)
        if maker is None:
            # A constant is what a level begins with; the model's input is not.
            if index < 0 or not flatbuffer.is_constant(model, graph.tensors[index]):
                return 0
            continue
        if id(maker) in seen:
            continue
        seen.add(id(maker))
        name = flatbuffer.operator_name(model, maker)
        if name == 'SUB' and _saturates(graph, maker):
            comparators += 1
        elif name == 'ADD':
            pending.extend(int(source) for source in maker.inputs)
        elif name in _TRANSPARENT:
            images = maker.inputs if name == 'CONCATENATION' else maker.inputs[:1]
            pending.extend(int(source) for source in images)
        else:
            return 0
    return comparators


def _saturates(graph: Any, operator: Any) -> bool:
    """Whether a subtraction is a comparator: a difference of 1 spans all of int8."""
    operands = [graph.tensors[index] for index in operator.inputs]
    output = graph.tensors[operator.outputs[0]]
    scales = [flatbuffer.scales_of(tensor) for tensor in (*operands, output)]
    if any(len(scale) != 1 for scale in scales) or flatbuffer.zero_point_of(output) != -128:
        return False
    return all(254.5 < float(scale[0]) / float(scales[-1][0]) < 255.5 for scale in scales[:-1])


def _constant_bytes(model: Any) -> dict[str, int]:
    held: dict[int, str] = {}
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            held.setdefault(int(tensor.buffer), flatbuffer.type_name(tensor))
    sizes: collections.Counter[str] = collections.Counter()
    for buffer, name in held.items():
        data = model.buffers[buffer].data
        if data is not None and len(data):
            sizes[name] += len(data)
    return dict(sizes.most_common())


def _interface(tensor: Any) -> TensorReport:
    scales = flatbuffer.scales_of(tensor)
    return TensorReport(
        name=flatbuffer.text(tensor.name),
        type=flatbuffer.type_name(tensor),
        shape=flatbuffer.shape_of(tensor),
        scale=float(scales[0]) if len(scales) else None,
        zero_point=flatbuffer.zero_point_of(tensor) if len(scales) else None,
    )


def _layer_table(layers: tuple[LayerReport, ...]) -> list[str]:
    head = ('operator', 'name', 'kernel', 'type', 'bytes', 'scales', 'comparators')
    rows = [head]
    for layer in layers:
        # Converters chain the names of all that was fused; the first one is the layer's.
        name = layer.name.split(';')[0]
        rows.append(
            (
                layer.operator,
                name if len(name) <= _NAME_WIDTH else f'…{name[1 - _NAME_WIDTH :]}',
                '×'.join(str(size) for size in layer.kernel_shape),
                layer.kernel_type,
                f'{layer.kernel_bytes:,}',
                layer.scales,
                str(layer.comparators or '-'),
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    right = ('bytes', 'comparators')

    def line(row: tuple[str, ...]) -> str:
        cells = [
            cell.rjust(width) if title in right else cell.ljust(width)
            for cell, width, title in zip(row, widths, head, strict=True)
        ]
        return '  '.join(cells).rstrip()

    return [line(head), '  '.join('-' * width for width in widths), *map(line, rows[1:])]


def _summary(report: Inspection) -> list[str]:
    taken = report.delegation
    by_type = ', '.join(f'{name} {size:,}' for name, size in report.constant_bytes.items())
    histogram = ', '.join(f'{name} {count}' for name, count in report.operators.items())
    kept = f'{report.file_bytes:,} bytes, of which kernels {report.kernel_bytes:,}'
    run = f'{taken.partitions} partition{"" if taken.partitions == 1 else "s"}'
    lines = [
        *_entry('file', kept),
        *_entry('constants', f'{by_type or "none"} (bytes)'),
        *_entry('operators', histogram or 'none'),
        *_entry('XNNPACK', f'{run}, {taken.delegated} of {taken.operators} operators'),
        *_entry('integer-only', 'yes' if report.integer_only else 'no'),
    ]
    for violation in report.violations[:_MOST_VIOLATIONS]:
        lines += _entry('', violation)
    for tensor in report.inputs:
        lines += _entry('input', str(tensor))
    for tensor in report.outputs:
        lines += _entry('output', str(tensor))
    return lines


def _entry(title: str, value: str) -> list[str]:
    """A line with a title; what is longer goes on below, indented."""
    return textwrap.wrap(
        value,
        width=100,
        initial_indent=title.ljust(_TITLE_WIDTH),
        subsequent_indent=' ' * _TITLE_WIDTH,
    )
