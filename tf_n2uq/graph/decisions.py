"""The decisions about which layer does whose work in an integer network.

The rewrite decides when quantizers and ranges are in the graph. It writes into the config of each
layer those names and numbers that this layer needs for itself. After a model has been loaded,
`decide` makes the same decisions again, from the graph and from the configs. Calibration, the
summary, the export and the comparison of files all read a `Decisions`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tf_n2uq.graph.fusing import Fusing, find_fusing, readers_of
from tf_n2uq.graph.graph import Graph, Ref, Step
from tf_n2uq.graph.quantizer_steps import is_range, is_thresholds, role_of
from tf_n2uq.layers import KernelRole, Quantize, QuantizedKernel
from tf_n2uq.layers.connections import ReadsInt8
from tf_n2uq.layers.layer_spec import KEEPING_SCALE, Kind
from tf_n2uq.layers.quantized_kernel import use_of


@dataclasses.dataclass(frozen=True)
class Decisions:
    """The decisions about one graph. All names are names of steps of the graph.

    Attributes:
        kinds: the kind of each step; None for a layer that has no integer form.
        operators: for each step that has no operator of its own, the step whose operator also does
            its work: a kernel for its line, a kernel or a sum for its ReLU.
        folded: the steps that are part of the thresholds behind them.
        level_writers: for each quantizer whose levels the operator in front of it writes by itself,
            the step of this operator.
        thresholds: the quantizers that map numbers to levels, in the order of execution.
        ranges: the 8-bit ranges, in the order of execution.
        makers: for each step, the step that its tensor has its scale from, which is another one if
            the step only moves numbers, or writes in the range that it reads.
        input_quantizers: for each step that reads a single tensor, the quantizer that makes it,
            perhaps with steps between them that only move numbers.
        fed_kernels: for each step, the kernel that alone reads its values, perhaps padded.
        lines: for each kernel, the line per channel that its operator takes on.
        result_ranges: for each step, the quantizer that gives its operator's output a scale: an
            8-bit range, or a quantizer whose levels the operator writes.
        last_kernels: the kernels that nothing reads, except a range at the end.
    """

    kinds: Mapping[str, Kind | None]
    operators: Mapping[str, str]
    folded: frozenset[str]
    level_writers: Mapping[str, str]
    thresholds: tuple[str, ...]
    ranges: tuple[str, ...]
    makers: Mapping[str, str]
    input_quantizers: Mapping[str, str]
    fed_kernels: Mapping[str, str]
    lines: Mapping[str, str]
    result_ranges: Mapping[str, str]
    last_kernels: frozenset[str]

    def stands_alone(self, step: Step) -> bool:
        """Tells whether an element-wise step needs an operator that does nothing else."""
        own = step.name not in self.operators and step.name not in self.folded
        return self.kinds[step.name] is Kind.ELEMENTWISE and own

    def steps_of_range(self, graph: Graph, name: str) -> list[Step]:
        """Returns the steps whose common operator writes a range, the nearest first.

        Args:
            graph: the graph that the decisions are about.
            name: the name of the range.
        """
        (ref,) = graph.steps[name].inputs
        found = [graph.producer(ref)]
        while found[-1].name in self.operators:
            found.append(graph.steps[self.operators[found[-1].name]])
        return found


def decide(graph: Graph) -> Decisions:
    """Makes the decisions about a graph.

    Args:
        graph: a graph with its quantizers. Roles in the configs of layers are not decided again.

    Returns:
        The decisions.
    """
    order = graph.in_order()
    fusing, readers, outputs = find_fusing(graph), readers_of(order), graph.returned()
    kinds = fusing.kinds
    makers: dict[str, str] = {}
    for step in order:
        moves = kinds[step.name] in KEEPING_SCALE and len(step.inputs) == 1
        makers[step.name] = makers[step.inputs[0].step] if moves else step.name
    return Decisions(
        kinds=kinds,
        operators=fusing.operators,
        folded=fusing.folded,
        level_writers=fusing.level_writers,
        thresholds=tuple(step.name for step in order if is_thresholds(step)),
        ranges=tuple(step.name for step in order if is_range(step)),
        makers=makers,
        input_quantizers=_input_quantizers(order, kinds, makers),
        fed_kernels=_fed_kernels(order, readers, outputs),
        lines={
            operator: name
            for name, operator in fusing.operators.items()
            if kinds[name] is Kind.NORMALIZATION
        },
        result_ranges=_result_ranges(order, readers, fusing),
        last_kernels=frozenset(
            step.name
            for step in order
            if kinds[step.name] is Kind.KERNEL and _is_last(step, readers)
        ),
    )


def write_roles(graph: Graph, decisions: Decisions) -> None:
    """Writes into the layers of a graph the decisions that each layer needs for itself.

    Args:
        graph: the graph. Its layers are in no model yet, and a layer keeps a role that it has.
        decisions: the decisions about the graph.
    """

    def layer_name(names: Mapping[str, str], step: Step) -> str | None:
        name = names.get(step.name)
        return None if name is None else graph.steps[name].layer.name

    for step in graph:
        layer, quantizer = step.layer, layer_name(decisions.input_quantizers, step)
        if isinstance(layer, QuantizedKernel) and role_of(step) is None:
            line = layer_name(decisions.lines, step)
            role = KernelRole(quantizer, line, step.name in decisions.last_kernels)
            layer.take_role(role, use_of(step.kwargs))
        elif isinstance(layer, ReadsInt8):
            layer.input_quantizer = layer.input_quantizer or quantizer


def source_of(graph: Graph, ref: Ref) -> Step:
    """Returns the step that a tensor has its scale from, past steps that keep a scale."""
    producer = graph.producer(ref)
    while producer.kind in KEEPING_SCALE and len(producer.inputs) == 1:
        producer = graph.producer(producer.inputs[0])
    return producer


def _input_quantizers(
    order: list[Step], kinds: Mapping[str, Kind | None], makers: Mapping[str, str]
) -> dict[str, str]:
    found: dict[str, str] = {}
    for step in order:
        if len(step.inputs) == 1:
            source = makers[step.inputs[0].step]
            if kinds[source] is Kind.QUANTIZE:
                found[step.name] = source
    return found


def _fed_kernels(
    order: list[Step], readers: Mapping[str, list[Step]], outputs: set[str]
) -> dict[str, str]:
    found: dict[str, str] = {}
    for step in reversed(order):
        if step.name in outputs or len(readers[step.name]) != 1:
            continue
        (reader,) = readers[step.name]
        if isinstance(reader.layer, QuantizedKernel):
            found[step.name] = reader.name
        elif reader.spec.keeps_pixels and reader.name in found:
            found[step.name] = found[reader.name]
    return found


def _result_ranges(
    order: list[Step], readers: Mapping[str, list[Step]], fusing: Fusing
) -> dict[str, str]:
    found: dict[str, str] = {}
    operators, level_writers = fusing.operators, fusing.level_writers
    for step in reversed(order):
        ranges = [
            reader.name
            for reader in readers[step.name]
            if is_range(reader) or reader.name in level_writers
        ]
        shared = [
            reader.name
            for reader in readers[step.name]
            if operators.get(reader.name) == step.name and reader.name in found
        ]
        if ranges:
            found[step.name] = ranges[0]
        elif shared:
            found[step.name] = found[shared[0]]
    return found


def _is_last(step: Step, readers: Mapping[str, list[Step]]) -> bool:
    return all(
        isinstance(reader.layer, Quantize) and not readers[reader.name]
        for reader in readers[step.name]
    )
