"""The report of `compare`: its numbers, and their table as text."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from tf_n2uq.schemes.text_table import format_table, shortened, titled

_NAME_WIDTH = 36


@dataclasses.dataclass(frozen=True)
class FirstDifference:
    """The first value of a tensor that differs between Keras and the file.

    Attributes:
        image: The number of the image, from 0.
        position: The indices of the value in the tensor of the image.
        keras_level: The level in Keras.
        file_level: The level in the file.
    """

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
    """The differences between a tensor of the file and the quantizer in Keras.

    The file was run with XNNPACK or with the reference kernels.

    Attributes:
        differing: The number of values whose levels differ.
        largest: The largest difference, in levels.
        first: The first value that differs; None if there is none.
    """

    differing: int
    largest: int
    first: FirstDifference | None


@dataclasses.dataclass(frozen=True)
class QuantizerComparison:
    """One quantizer of the Keras model beside the tensor of the file that it became.

    Attributes:
        name: The name of the quantizer's layer.
        kind: 'thresholds' or 'range'.
        levels: The number of levels. A range has the 256 numbers of int8.
        values: The number of compared values.
        xnnpack: The differences in the file as XNNPACK runs it.
        reference: The differences in the file as the reference kernels run it.
    """

    name: str
    kind: str
    levels: int
    values: int
    xnnpack: Differences
    reference: Differences

    @property
    def xnnpack_share(self) -> float:
        """The share of the values whose levels differ as XNNPACK runs the file, 0..1."""
        return self.xnnpack.differing / self.values

    @property
    def reference_share(self) -> float:
        """The share of the values whose levels differ as the reference kernels run it, 0..1."""
        return self.reference.differing / self.values


@dataclasses.dataclass(frozen=True)
class OutputComparison:
    """The output of the file beside the output of the Keras model.

    The file was run with XNNPACK or with the reference kernels.

    Attributes:
        agreement: The share of outputs whose largest value has the same place on the last axis;
            None if this axis has one value only.
        mean_difference: The mean absolute difference, in steps of the output's scale. For an output
            without a scale, which is computed in float, a step is 1.
        max_difference: The largest absolute difference, likewise.
    """

    agreement: float | None
    mean_difference: float
    max_difference: float

    def __str__(self) -> str:
        agree = '' if self.agreement is None else f'{self.agreement:.2%} agree; '
        return (
            f'{agree}difference in steps of the output: mean {self.mean_difference:.4f}, largest '
            f'{self.max_difference:.2f}'
        )


@dataclasses.dataclass(frozen=True)
class ComparedOutput:
    """One output of the model.

    Attributes:
        name: The name of the output, as in the signature of the file.
        scale: The scale of the output; None if the file computes the output in float.
        xnnpack: The output of the file as XNNPACK runs it.
        reference: The output of the file as the reference kernels run it.
    """

    name: str
    scale: float | None
    xnnpack: OutputComparison
    reference: OutputComparison


@dataclasses.dataclass(frozen=True)
class Comparison:
    """The result of `compare`. `str()` of this object is a table, with the worst quantizer first.

    Attributes:
        images: The number of compared images.
        quantizers: The quantizers that are tensors of the file, in the order of execution.
        outputs: The outputs, in the order of the model.
        not_compared: The names of the quantizers that are no tensors of the file.
    """

    images: int
    quantizers: tuple[QuantizerComparison, ...]
    outputs: tuple[ComparedOutput, ...]
    not_compared: tuple[str, ...]

    @property
    def output_scale(self) -> float | None:
        """The scale of the only output."""
        return self._only_output().scale

    @property
    def xnnpack(self) -> OutputComparison:
        """The only output of the file as XNNPACK runs it."""
        return self._only_output().xnnpack

    @property
    def reference(self) -> OutputComparison:
        """The only output of the file as the reference kernels run it."""
        return self._only_output().reference

    def _only_output(self) -> ComparedOutput:
        if len(self.outputs) != 1:
            raise ValueError(
                f'outputs: expected one output, got {", ".join(each.name for each in self.outputs)}'
                '. Choose one of report.outputs.'
            )
        return self.outputs[0]

    @property
    def first_xnnpack(self) -> QuantizerComparison | None:
        """The first quantizer, in order of execution, whose levels differ as XNNPACK runs the file.

        It is None if all levels agree.
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
    lines += _kernels('XNNPACK', report, lambda each: each.xnnpack, lambda each: each.xnnpack)
    lines += _kernels('reference', report, lambda each: each.reference, lambda each: each.reference)
    for output in report.outputs:
        step = (
            'computed in float' if output.scale is None else f'a step is worth {output.scale:.6g}'
        )
        lines += titled('output', f'{_of(report, output)}{step}')
    if report.not_compared:
        lines += titled('not compared', ', '.join(report.not_compared))
    return lines


def _kernels(
    title: str,
    report: Comparison,
    differences: Callable[[QuantizerComparison], Differences],
    kind: Callable[[ComparedOutput], OutputComparison],
) -> list[str]:
    """Returns the lines about XNNPACK or the reference kernels.

    They name the first difference in the order of execution, and the difference at the output.
    """
    where = 'none'
    for order, each in enumerate(report.quantizers, start=1):
        if differences(each).differing:
            where = f'{each.name}, {order} of {len(report.quantizers)} in order of execution'
            where += f'; {differences(each).first}'
            break
    lines = titled(title, f'first difference: {where}')
    for output in report.outputs:
        lines += titled('', f'output: {_of(report, output)}{kind(output)}')
    return lines


def _of(report: Comparison, output: ComparedOutput) -> str:
    """Returns the name of an output and a colon, if there are several outputs."""
    return f'{output.name}: ' if len(report.outputs) > 1 else ''
