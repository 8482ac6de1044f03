"""The report of `inspect`: its numbers, and their table as text."""

import dataclasses
import math

from tf_n2uq.schemes.text_table import WIDTH, format_table, shortened, titled
from tf_n2uq.tflite.running.interpreter import Delegation

_SHORT_NAMES = {
    'CONV_2D': 'conv',
    'DEPTHWISE_CONV_2D': 'depthwise',
    'FULLY_CONNECTED': 'dense',
    'TRANSPOSE_CONV': 'transposed',
}
_HEAD = (
    'layer',
    'operator',
    'kernel',
    'type',
    'bytes',
    'zip',
    'mult-adds',
    'cmp',
    'ops',
    'XNN',
)
# The beginnings of the names that TensorFlow gives to operators with kernels.
_MULTIPLYING = ('Conv2D', 'MatMul', 'depthwise')
# The least width of the column of names, in characters.
_LEAST_NAME_WIDTH = 8
# The number of violations in the table.
_LISTED_VIOLATIONS = 5


@dataclasses.dataclass(frozen=True)
class LayerReport:
    """One layer of the file that has a kernel.

    Attributes:
        operator: The schema's name of the operator, such as `CONV_2D`.
        name: The name of the tensor that the operator writes.
        kernel_type: The schema's name of the kernel's type, such as `INT4`.
        kernel_bits: The bits per stored value of the kernel; None if the type has no fixed size.
        kernel_shape: The shape of the kernel.
        kernel_bytes: The size of the stored kernel in bytes; 0 if the kernel is computed.
        kernel_deflated_bytes: The size in bytes that the stored kernel has in a zip archive.
        scales: 'per channel', 'per tensor', or 'none' for a float kernel.
        comparators: The number of comparators that make the input of the layer. A ramp or a chain
            counts as one comparator per level.
        parameters: The number of values in kernel and bias.
        multiply_adds: The number of products that are added up for one image.
        operators: The number of operators of the layer: its own operator, its comparators, and
            those that sum its channels and gather its windows.
        on_xnnpack: Whether XNNPACK computes the layer's own operator.
    """

    operator: str
    name: str
    kernel_type: str
    kernel_bits: int | None
    kernel_shape: tuple[int, ...]
    kernel_bytes: int
    kernel_deflated_bytes: int
    scales: str
    comparators: int
    parameters: int
    multiply_adds: int
    operators: int
    on_xnnpack: bool


@dataclasses.dataclass(frozen=True)
class Undelegated:
    """Operators that XNNPACK does not compute.

    Attributes:
        operator: The schema's name of the operators.
        count: The number of operators of this name and reason.
        reason: The reason, as half a sentence.
    """

    operator: str
    count: int
    reason: str


@dataclasses.dataclass(frozen=True)
class TensorReport:
    """An input or output of the file.

    Attributes:
        name: The name that the signature of the file gives it. In a file without a signature, the
            name of the tensor.
        type: The schema's name of its type, such as `INT8`.
        shape: The shape of the tensor.
        scale: The scale; None if the tensor is not quantized.
        zero_point: The zero point; None if the tensor is not quantized.
    """

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
    """The contents of a TFLite file. `str()` of this object is a table.

    Attributes:
        file_bytes: The size of the file in bytes.
        deflated_bytes: The size in bytes that the file has in a zip archive.
        layers: The layers with kernels, in the order of execution.
        constant_bytes: The bytes of all constants, by the name of the tensor type.
        operators: The number of operators, by name.
        delegation: The part of the file that XNNPACK computes.
        undelegated: The operators that XNNPACK does not compute, with the reasons.
        violations: The operators and tensors that keep the file from being integer-only, one line
            each.
        inputs: The inputs of the file.
        outputs: The outputs of the file.
    """

    file_bytes: int
    deflated_bytes: int
    layers: tuple[LayerReport, ...]
    constant_bytes: dict[str, int]
    operators: dict[str, int]
    delegation: Delegation
    undelegated: tuple[Undelegated, ...]
    violations: tuple[str, ...]
    inputs: tuple[TensorReport, ...]
    outputs: tuple[TensorReport, ...]

    @property
    def kernel_bytes(self) -> int:
        """The bytes of all kernels together."""
        return sum(layer.kernel_bytes for layer in self.layers)

    @property
    def kernel_deflated_bytes(self) -> int:
        """The bytes of all kernels together, each one by itself in a zip archive."""
        return sum(layer.kernel_deflated_bytes for layer in self.layers)

    @property
    def kernel_values(self) -> int:
        """The number of values in all kernels together."""
        return sum(math.prod(layer.kernel_shape) for layer in self.layers)

    @property
    def bits_per_weight(self) -> float:
        """The stored bits per kernel value, on average over all kernels."""
        return 8 * self.kernel_bytes / self.kernel_values if self.kernel_values else 0.0

    @property
    def parameters(self) -> int:
        """The number of values in all kernels and biases together."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        """The number of products that all layers together add up."""
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def comparators(self) -> int:
        """The number of comparators of all layers together."""
        return sum(layer.comparators for layer in self.layers)

    @property
    def xnnpack_partitions(self) -> int:
        """The number of runs of operators that XNNPACK computes as one."""
        return self.delegation.partitions

    @property
    def integer_only(self) -> bool:
        """True if the file computes in integers from input to output, with built-in operators."""
        return not self.violations

    def __str__(self) -> str:
        return '\n'.join([*_layer_table(self), '', *_summary(self)])


def _layer_table(report: Inspection) -> list[str]:
    rows = [_row(layer) for layer in report.layers]
    rows.append(
        (
            'total',
            '',
            '',
            '',
            f'{report.kernel_bytes:,}',
            f'{report.kernel_deflated_bytes:,}',
            f'{report.multiply_adds:,}',
            str(report.comparators or '-'),
            str(report.delegation.operators),
            str(report.delegation.delegated),
        )
    )
    others = [max(map(len, column)) + 2 for column in list(zip(_HEAD, *rows, strict=True))[1:]]
    width = max(_LEAST_NAME_WIDTH, WIDTH - sum(others))
    named = [(shortened(row[0], width), *row[1:]) for row in rows]
    return format_table(_HEAD, named, right=_HEAD[4:9])


def _row(layer: LayerReport) -> tuple[str, ...]:
    return (
        _layer_name(layer.name),
        _SHORT_NAMES.get(layer.operator, layer.operator),
        '×'.join(str(size) for size in layer.kernel_shape),
        layer.kernel_type,
        f'{layer.kernel_bytes:,}',
        f'{layer.kernel_deflated_bytes:,}',
        f'{layer.multiply_adds:,}',
        str(layer.comparators or '-'),
        str(layer.operators),
        'yes' if layer.on_xnnpack else 'no',
    )


def _layer_name(name: str) -> str:
    """Returns the name of the layer that a tensor's operator computes.

    The converter chains the names of all operators that it fuses into one. The layer is the one
    whose operator multiplies. A dense layer, which the converter reshapes, is found by TFMOT's
    prefix.
    """
    parts = name.split(';')
    ranked = [
        *(part for part in parts if part.rpartition('/')[2].startswith(_MULTIPLYING)),
        *(part for part in parts if part.startswith('quant_')),
        *parts,
    ]
    return ranked[0].rpartition('/')[0].removeprefix('quant_') or ranked[0]


def _summary(report: Inspection) -> list[str]:
    taken = report.delegation
    by_type = ', '.join(f'{name} {size:,}' for name, size in report.constant_bytes.items())
    histogram = ', '.join(f'{name} {count}' for name, count in report.operators.items())
    kept = (
        f'{report.file_bytes:,} bytes, in a zip {report.deflated_bytes:,}; kernels '
        f'{report.kernel_bytes:,} bytes ({report.bits_per_weight:.2f} bits per weight), and '
        f'{report.parameters:,} parameters'
    )
    run = f'{taken.partitions} partition{"" if taken.partitions == 1 else "s"}'
    lines = [
        *titled(
            'columns',
            'bytes, zip: sizes of the kernel; cmp: comparators of the input; ops: all operators of '
            'the layer; XNN: XNNPACK',
        ),
        *titled('file', kept),
        *titled('constants', f'{by_type or "none"} (bytes)'),
        *titled('operators', histogram or 'none'),
        *titled('XNNPACK', f'{run}, {taken.delegated} of {taken.operators} operators'),
    ]
    for left in report.undelegated:
        lines += titled('', f'not {left.operator} {left.count}: {left.reason}')
    lines += titled('integer-only', 'yes' if report.integer_only else 'no')
    for violation in report.violations[:_LISTED_VIOLATIONS]:
        lines += titled('', violation)
    for tensor in report.inputs:
        lines += titled('input', str(tensor))
    for tensor in report.outputs:
        lines += titled('output', str(tensor))
    return lines
