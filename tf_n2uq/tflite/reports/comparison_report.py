"""The report of `compare`: numbers, and a table of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from tf_n2uq.schemes.text_table import format_table, shortened, titled

_NAME_WIDTH = 36


@dataclasses.dataclass(frozen=True)
class FirstDifference:
    """The first value of a tensor that differs: of which image, where, and what it is."""

    image: int
    position: tuple[int, ...]
    keras_level: int
    file_level: int

    def __str__(self) -> str:
        return (
            f'image {self.image} at {list(self.position)}: Keras {self.keras_level}, '
            f'file {self.file_level}'
        )


@dataclasses.dataclass(frozen=True)
class Differences:
    """How a tensor of the file, computed by some kernels, departs from Keras.

    Attributes:
        differing: How many values are of another level.
        largest: By how many levels at most.
        first: The first of them; None if there is none.
    """

    differing: int
    largest: int
    first: FirstDifference | None


@dataclasses.dataclass(frozen=True)
class QuantizerComparison:
    """One quantizer of the Keras model beside the tensor of the file that it is.

    Attributes:
        name: The name of the quantizer's layer.
        kind: 'thresholds' or 'range'.
        levels: How many levels it has; a range has the 256 numbers of int8.
        values: How many values were compared.
        xnnpack: What differs where XNNPACK computes.
        reference: What differs where the portable kernels compute.
    """

    name: str
    kind: str
    levels: int
    values: int
    xnnpack: Differences
    reference: Differences

    @property
    def xnnpack_share(self) -> float:
        """Share of the values that are of another level where XNNPACK computes."""
        return self.xnnpack.differing / self.values

    @property
    def reference_share(self) -> float:
        """Share of the values that are of another level where the portable kernels compute."""
        return self.reference.differing / self.values


@dataclasses.dataclass(frozen=True)
class OutputComparison:
    """The file's output, computed by some kernels, beside that of the Keras model.

    Attributes:
        agreement: Share of outputs with the same largest value along the last axis.
        mean_difference: Mean absolute difference, in steps of the output's scale.
        max_difference: Largest absolute difference, in steps of the output's scale.
    """

    agreement: float
    mean_difference: float
    max_difference: float

    def __str__(self) -> str:
        return (
            f'{self.agreement:.2%} agree; difference in steps of the output: mean '
            f'{self.mean_difference:.4f}, largest {self.max_difference:.2f}'
        )


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What `compare` found. `str()` of it is a table, worst first.

    Attributes:
        images: How many images were compared.
        quantizers: The quantizers that are tensors of the file, in the order of execution.
        output_scale: What a step of the output is worth.
        xnnpack: The output where XNNPACK computes.
        reference: The output where the portable kernels compute.
        not_compared: Names of quantizers that are no tensors of the file.
    """

    images: int
    quantizers: tuple[QuantizerComparison, ...]
    output_scale: float
    xnnpack: OutputComparison
    reference: OutputComparison
    not_compared: tuple[str, ...]

    @property
    def first_xnnpack(self) -> QuantizerComparison | None:
        """The first quantizer in order of execution that differs where XNNPACK computes.

        None if all levels agree.
        """
        return next((each for each in self.quantizers if each.xnnpack.differing), None)

    def __str__(self) -> str:
        return '\n'.join([*_table(self.quantizers), '', *_summary(self)])


def _table(quantizers: tuple[QuantizerComparison, ...]) -> list[str]:
    head = ('quantizer', 'kind', 'order', 'levels', 'values', 'XNNPACK', 'by', 'reference', 'by')
    numbered = list(enumerate(quantizers, start=1))
    numbered.sort(key=lambda pair: (-pair[1].xnnpack_share, -pair[1].reference_share))
    rows = [
        (
            shortened(each.name, _NAME_WIDTH),
            each.kind,
            str(order),
            str(each.levels),
            f'{each.values:,}',
            f'{each.xnnpack_share:.3%}',
            str(each.xnnpack.largest),
            f'{each.reference_share:.3%}',
            str(each.reference.largest),
        )
        for order, each in numbered
    ]
    return format_table(head, rows, right=head[2:])


def _summary(report: Comparison) -> list[str]:
    lines = titled(
        'compared',
        f'{report.images} images; share of values of another level, and by how many at most',
    )
    lines += _kernels('XNNPACK', report, lambda each: each.xnnpack, report.xnnpack)
    lines += _kernels('reference', report, lambda each: each.reference, report.reference)
    lines += titled('output', f'a step is worth {report.output_scale:.6g}')
    if report.not_compared:
        lines += titled('not compared', ', '.join(report.not_compared))
    return lines


def _kernels(
    title: str,
    report: Comparison,
    differences: Callable[[QuantizerComparison], Differences],
    output: OutputComparison,
) -> list[str]:
    """What some kernels make different: first where in order of execution, and at the output."""
    where = 'none'
    for order, each in enumerate(report.quantizers, start=1):
        if differences(each).differing:
            where = f'{each.name}, {order} of {len(report.quantizers)} in order of execution'
            where += f'; {differences(each).first}'
            break
    return [*titled(title, f'first difference: {where}'), *titled('', f'output: {output}')]
