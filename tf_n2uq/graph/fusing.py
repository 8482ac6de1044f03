"""The rules by which one operator of an integer file does the work of several layers.

The rewrite applies these rules while it changes a graph, and `decide` applies them afterwards. All
other modules read the `Decisions`.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping

from tf_n2uq.graph.graph import Graph, Step
from tf_n2uq.graph.quantizer_steps import is_thresholds, role_of
from tf_n2uq.layers import QuantizedKernel
from tf_n2uq.layers.layer_spec import Kind, kind_of, spec_of
from tf_n2uq.quantizers.protocols import UniformQuantizer


@dataclasses.dataclass(frozen=True)
class Fusing:
    """The fused steps of a graph at one moment. All names are names of steps.

    Attributes:
        kinds: the kind of each step; None for a layer that has no integer form.
        operators: for each step that has no operator of its own, the step in front of it whose
            operator also does its work.
        folded: the steps that are one function per channel together with the thresholds that they
            feed: element-wise layers, and lines per channel that no kernel takes on, which nothing
            but thresholds reads, directly or through more such layers.
        level_writers: for each quantizer whose levels the operator in front of it writes by itself,
            the step of this operator: a kernel or a sum.
    """

    kinds: Mapping[str, Kind | None]
    operators: Mapping[str, str]
    folded: frozenset[str]
    level_writers: Mapping[str, str]


def find_fusing(graph: Graph) -> Fusing:
    """Applies the rules to a graph.

    Args:
        graph: the graph. Roles in the configs of layers are not decided again.
    """
    order = graph.in_order()
    kinds: dict[str, Kind | None] = {}
    for step in order:
        kinds[step.name] = kind_of(step.layer, step.input_shape)
    readers = readers_of(order)
    outputs = graph.returned()
    operators: dict[str, str] = {}
    for step in order:
        if kinds[step.name] is Kind.NORMALIZATION:
            kernel = graph.producer(step.inputs[0])
            is_kernel = kinds[kernel.name] is Kind.KERNEL
            if is_kernel and _takes_on(kernel, step, readers, outputs):
                operators[step.name] = kernel.name
    folded: set[str] = set()
    for step in reversed(order):
        kind, behind = kinds[step.name], readers[step.name]
        alone = kind is Kind.NORMALIZATION and step.name not in operators
        compared = all(is_thresholds(reader) or reader.name in folded for reader in behind)
        inner = bool(behind) and step.name not in outputs
        if (kind is Kind.ELEMENTWISE or alone) and inner and compared:
            folded.add(step.name)
    for step in order:
        operator = _operator_of_relu(graph, step, kinds, operators, folded)
        if operator is not None and _is_alone(operator, step, readers, outputs):
            operators[step.name] = operator.name
    level_writers: dict[str, str] = {}
    for step in order:
        writer = _level_writer(graph, step, kinds, operators)
        if writer is not None and _are_alone(graph, step, writer, readers, outputs):
            level_writers[step.name] = writer
    return Fusing(kinds, operators, frozenset(folded), level_writers)


def readers_of(order: list[Step]) -> dict[str, list[Step]]:
    """Returns the steps that read the first output of each step, in order."""
    readers: dict[str, list[Step]] = collections.defaultdict(list)
    for step in order:
        for ref in dict.fromkeys(step.inputs):
            if ref.index == 0:
                readers[ref.step].append(step)
    return readers


def _takes_on(
    kernel: Step, line: Step, readers: Mapping[str, list[Step]], outputs: set[str]
) -> bool:
    role = role_of(kernel)
    if role is not None:
        # The rewrite has decided. Models that are made of the layer later do not change that.
        return role.line == line.layer.name
    return _is_alone(kernel, line, readers, outputs)


def _is_alone(
    step: Step, reader: Step, readers: Mapping[str, list[Step]], outputs: set[str]
) -> bool:
    """Tells whether a reader alone reads a step."""
    return readers[step.name] == [reader] and step.name not in outputs


def _operator_of_relu(
    graph: Graph,
    step: Step,
    kinds: Mapping[str, Kind | None],
    operators: Mapping[str, str],
    folded: set[str],
) -> Step | None:
    """Returns the step in front of a ReLU if its operator may do the work of the ReLU too."""
    spec = spec_of(step.layer)
    if spec is None or not spec.fuses_as_relu or len(step.inputs) != 1:
        return None
    producer = graph.producer(step.inputs[0])
    line = kinds[producer.name] is Kind.NORMALIZATION
    behind = operators.get(producer.name) if line else None
    if line and behind is None and step.name in folded:
        # Alone, the line would become an operator only to carry this ReLU.
        return None
    return producer if _takes_on_relu(graph.steps[behind] if behind else producer) else None


def _takes_on_relu(step: Step) -> bool:
    layer = step.layer.layer if isinstance(step.layer, QuantizedKernel) else step.layer
    spec = spec_of(layer)
    return spec is not None and spec.takes_on_relu


def _level_writer(
    graph: Graph, step: Step, kinds: Mapping[str, Kind | None], operators: Mapping[str, str]
) -> str | None:
    """Returns the operator that could write the levels of a quantizer by itself.

    The levels are the operator's output divided by a step, rounded and clipped. The output
    saturates at the highest level, and a ReLU of the operator clips at level 0.
    """
    quantizer = step.layer.quantizer if is_thresholds(step) else None
    if not isinstance(quantizer, UniformQuantizer) or not quantizer.is_uniform:
        return None
    source = graph.producer(step.inputs[0])
    has_relu = source.spec.fuses_as_relu and source.name in operators
    if not (has_relu or quantizer.is_unsigned):
        return None
    writer = source.name
    while writer in operators:
        writer = operators[writer]
    return writer if kinds[writer] in (Kind.KERNEL, Kind.SUM) else None


def _are_alone(
    graph: Graph,
    thresholds: Step,
    writer: str,
    readers: Mapping[str, list[Step]],
    outputs: set[str],
) -> bool:
    """Tells whether each step from an operator to thresholds is read by the next one alone."""
    step = thresholds
    while step.name != writer:
        source = graph.producer(step.inputs[0])
        if not _is_alone(source, step, readers, outputs):
            return False
        step = source
    return True
