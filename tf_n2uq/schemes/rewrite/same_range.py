"""RPReLUs that write in the range that they read, and the offsets that make their channels alike.

Such an RPReLU leaves the int8 values right of its knee as they are, if the tensor in front holds
the biases of the RPReLU as an offset. So thresholds behind it lie at the same values in all
channels. The operator in front adds the offset as a part of its own bias.
"""

from __future__ import annotations

import collections
from collections.abc import Mapping

import tf_keras as keras

from tf_n2uq.graph.decisions import source_of
from tf_n2uq.graph.fusing import Fusing, find_fusing, readers_of
from tf_n2uq.graph.graph import Graph, Step, copy_layer
from tf_n2uq.graph.quantizer_steps import is_range
from tf_n2uq.layers import QuantizedKernel, RPReLU
from tf_n2uq.layers.layer_spec import Kind
from tf_n2uq.schemes.rewrite.assignment import Assignment

# The kinds of layers whose operator gets a range behind it.
_GETS_RANGE = (Kind.KERNEL, Kind.NORMALIZATION, Kind.SUM, Kind.PRODUCT, Kind.NEW_RANGE)
_Offset = Mapping[str, int]


def keep_ranges(graph: Graph, assignment: Assignment) -> list[str]:
    """Makes RPReLUs write in the range that they read, in place, before ranges are placed.

    RPReLUs of a network that has ranges already stay as they are: the network has been trained with
    them. So do RPReLUs behind functions that are a part of thresholds.

    Args:
        graph: the graph with its thresholds and quantized kernels.
        assignment: the steps that may be changed.

    Returns:
        The names of the RPReLUs, in the order of execution.
    """
    changed = []
    fusing = find_fusing(graph)
    for step in graph.in_order():
        if type(step.layer) is not RPReLU or step.name not in assignment.annotated:
            continue
        source = source_of(graph, step.inputs[0])
        is_operator = source.kind in _GETS_RANGE and source.name not in fusing.folded
        if is_operator or source.name in fusing.operators:
            layer = copy_layer(step.layer, lambda config: config.update(same_range=True))
            step.layer = layer
            step.restore = [(layer, arrays) for _, arrays in step.restore]
            changed.append(step.name)
    return changed


def assign_offsets(graph: Graph, names: list[str]) -> None:
    """Gives int8 tensors the offsets that the RPReLUs behind them want, in place.

    A tensor can have an offset if a kernel writes it, or a sum one of whose terms only this sum
    reads, which a kernel writes; or an RPReLU, whatever offset it reads. Other readers must not
    mind the offset: a sum does not if the kernel of its other term can take the offset back.

    Args:
        graph: the graph with its ranges.
        names: the RPReLUs that write in the range that they read.
    """
    if not names:
        return
    offsets = _Offsets(graph, names)
    for step in reversed(graph.in_order()):
        offsets.choose(step)
    for total in offsets.sinks:
        offsets.balance(total)
    for name, offset in offsets.chosen.items():
        graph.steps[name].layer.set_offset(offset)


class _Offsets:
    """Chooses the offset of each tensor, from the last one to the first.

    Attributes:
        chosen: the offset of each range and each RPReLU, by the name of its step.
        sinks: for each sum, the range of the term that takes on what the offsets differ by.
    """

    def __init__(self, graph: Graph, names: list[str]) -> None:
        self._graph, self._names = graph, set(names)
        order = graph.in_order()
        self._fusing: Fusing = find_fusing(graph)
        self._readers, self._outputs = readers_of(order), graph.returned()
        self._makers = {
            range_step.name: self._operator_of(range_step) for range_step in filter(is_range, order)
        }
        self._in_front: dict[str, set[str]] = {}
        for step in order:
            sources = {ref.step for ref in step.inputs}
            self._in_front[step.name] = sources.union(*(self._in_front[name] for name in sources))
        self.sinks = {step.name: sink for step in order if (sink := self._sink_of(step))}
        self.chosen: dict[str, _Offset] = {}

    def choose(self, step: Step) -> None:
        """Chooses the offset of what a step writes, once all of its readers have theirs."""
        if step.name not in self._makers and step.name not in self._names:
            return
        wanted = [
            self._wanted_by(reader)
            for reader in self._readers[step.name]
            if not self._does_not_mind(reader, step)
        ]
        free = step.name in self._names or self._can_have_offset(step)
        alike = bool(wanted) and all(each == wanted[0] for each in wanted)
        inside = step.name not in self._outputs
        self.chosen[step.name] = wanted[0] if alike and free and inside else {}

    def balance(self, total: str) -> None:
        """Gives the sink of a sum what the offset of the sum and those of other terms differ by."""
        result = [reader.name for reader in self._readers[total] if is_range(reader)]
        balance = collections.Counter(self.chosen[result[0]] if result else {})
        for ref in self._graph.steps[total].inputs:
            if ref.step != self.sinks[total]:
                balance.subtract(self.chosen.get(ref.step, {}))
        self.chosen[self.sinks[total]] = {name: count for name, count in balance.items() if count}

    def _wanted_by(self, reader: Step) -> _Offset:
        if reader.name not in self._names:
            return {}
        wanted = collections.Counter(self.chosen.get(reader.name, {}))
        wanted[reader.name] += 1
        return dict(wanted)

    def _does_not_mind(self, reader: Step, step: Step) -> bool:
        sink = self.sinks.get(reader.name, step.name)
        wanting = {each.name for each in self._readers[step.name]} & self._names
        # A layer finds only layers that are in front of it or behind it.
        return sink != step.name and wanting <= self._in_front[sink]

    def _can_have_offset(self, step: Step) -> bool:
        maker = self._makers[step.name]
        if maker is None:
            return False
        is_sink = step.name in self.sinks.values()
        return (_is_kernel(maker) and not is_sink) or maker.name in self.sinks

    def _operator_of(self, range_step: Step) -> Step | None:
        """Returns the operator that writes a range, unless it also computes a ReLU."""
        maker = self._graph.producer(range_step.inputs[0])
        if maker.name in self._fusing.operators:
            if self._fusing.kinds[maker.name] is not Kind.NORMALIZATION:
                return None
            maker = self._graph.steps[self._fusing.operators[maker.name]]
        return maker

    def _sink_of(self, total: Step) -> str | None:
        """Returns the range of a term of a sum that a kernel writes and only the sum reads."""
        for ref in total.inputs if type(total.layer) is keras.layers.Add else ():
            maker = self._makers.get(ref.step)
            alone = self._readers[ref.step] == [total] and ref.step not in self._outputs
            if maker is not None and _is_kernel(maker) and alone:
                return ref.step
        return None


def _is_kernel(step: Step) -> bool:
    return isinstance(step.layer, QuantizedKernel)
