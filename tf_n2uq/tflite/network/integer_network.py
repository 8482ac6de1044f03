"""The integer network as a TensorFlow function that the TFLite converter takes as it is."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tf_n2uq.graph.decisions import Decisions
from tf_n2uq.graph.graph import Graph, Ref, Step
from tf_n2uq.layers.layer_spec import Kind
from tf_n2uq.tflite.levels.comparators import ComparatorPlan, plan_comparators
from tf_n2uq.tflite.network.form import AsInKeras, IntegerCall, IntegerForm, Source
from tf_n2uq.tflite.network.kernels import IntegerKernel, with_distinct_constants
from tf_n2uq.tflite.network.level_tables import LevelTable, table_of
from tf_n2uq.tflite.network.ranges import Range, read_ranges
from tf_n2uq.tflite.passes.markers import marker_alpha

# The converter takes a range narrower than 1e-6 for an empty one and puts another in its place.
_SMALLEST_WIDTH = 2e-6
_AS_IN_KERAS = AsInKeras()


class IntegerNetwork:
    """Runs a quantized graph with the operators that the integer file will have.

    Behind every tensor is a `fake_quant` of the range that the tensor has in the file. Behind every
    kernel is a `fake_quant` of its integer grid. Each quantizer is a marker, which a pass over the
    file turns into comparators.

    Attributes:
        plans: the comparators of each marker, by the number of the marker.
    """

    def __init__(self, graph: Graph, decisions: Decisions) -> None:
        """Prepares the export.

        Args:
            graph: a quantized graph in which every tensor has a range. Its layers are built and
                hold their weights.
            decisions: the decisions about the graph.

        Raises:
            ValueError: if a quantizer or layer cannot become integer. The message names it.
        """
        self._graph, self._decisions = graph, decisions
        # The variables are read here, in eager mode. They have no values inside of the function
        # that is converted.
        self._ranges = read_ranges(graph, decisions)
        self._tables = {
            name: table_of(graph, decisions, graph.steps[name], self._ranges)
            for name in decisions.thresholds
        }
        self.plans: list[ComparatorPlan] = []
        for table in self._tables.values():
            plan = plan_comparators(table.levels, table.steps, _most_stretch(table))
            self.plans.append(plan)
        self._numbers = {name: number for number, name in enumerate(self._tables)}
        needed = self._needed()
        self._steps = [step for step in graph.in_order() if step.name in needed]
        self._calls = {step.name: self._call_of(step) for step in self._steps if step.inputs}
        found: dict[tuple[str, str], IntegerKernel] = {}
        for name, call in self._calls.items():
            step = call.step
            if decisions.kinds[name] is not Kind.QUANTIZE and not self._is_part_of_a_kernel(step):
                for part, kernel in self._form_of(step).kernels(call).items():
                    found[name, part] = kernel
        self._kernels: dict[str, dict[str, IntegerKernel]] = {name: {} for name in self._calls}
        for (name, part), kernel in with_distinct_constants(found).items():
            self._kernels[name][part] = kernel

    def __call__(self, *inputs: tf.Tensor) -> Any:
        """Runs the network on float32 inputs of batch size 1.

        Returns:
            The outputs, float32, in the structure of the model's outputs.
        """
        tensors = dict(zip(self._graph.inputs, inputs, strict=True))
        for step in self._steps:
            if step.output in tensors:
                continue
            # The scope gives the tensors of the file the names of their layers.
            with tf.name_scope(step.name):
                sources = [tensors[ref] for ref in self._inputs_of(step)]
                if step.name in self._tables:
                    result = self._mark(step, sources[0])
                elif step.name in self._ranges:
                    result = self._ranges[step.name].quantize(sources[0])
                elif self._is_part_of_a_kernel(step):
                    result = sources[0]
                else:
                    kernels = self._kernels[step.name]
                    result = self._form_of(step).run(self._calls[step.name], sources, kernels)
            tensors[step.output] = result
        return tf.nest.map_structure(lambda ref: tensors[ref], self._graph.outputs)

    def _mark(self, step: Step, inputs: tf.Tensor) -> tf.Tensor:
        number = self._numbers[step.name]
        marked = tf.raw_ops.LeakyRelu(features=inputs, alpha=marker_alpha(number))
        return self._level_range(step.name).quantize(marked)

    def _needed(self) -> set[str]:
        """Returns the names of the steps that the outputs depend on.

        Steps that are folded into thresholds are not among them.
        """
        names: set[str] = set()
        stack = [self._graph.producer(ref) for ref in tf.nest.flatten(self._graph.outputs)]
        while stack:
            step = stack.pop()
            if step.name not in names:
                names.add(step.name)
                stack.extend(self._graph.producer(ref) for ref in self._inputs_of(step))
        return names

    def _inputs_of(self, step: Step) -> list[Ref]:
        return [self._tables[step.name].source] if step.name in self._tables else step.inputs

    def _is_part_of_a_kernel(self, step: Step) -> bool:
        is_line = self._decisions.kinds[step.name] is Kind.NORMALIZATION
        return is_line and step.name in self._decisions.operators

    def _form_of(self, step: Step) -> IntegerForm:
        """Returns the form in which the file computes a step.

        A step that the operator in front of it also computes runs as in Keras, and the converter
        fuses it with that operator.
        """
        fused = step.name in self._decisions.operators
        return _AS_IN_KERAS if fused or step.spec.form is None else step.spec.form

    def _call_of(self, step: Step) -> IntegerCall:
        line = self._decisions.lines.get(step.name)
        result = self._decisions.result_ranges.get(step.name)
        sources = [self._source(ref) for ref in step.inputs]
        return IntegerCall(
            step=step,
            input_shapes=[self._graph.shape(ref) for ref in step.inputs],
            sources=[source for source in sources if source is not None],
            result=None if result is None else self._ranges[result],
            line=None if line is None else self._graph.steps[line].layer,
        )

    def _level_range(self, name: str) -> Range:
        """Returns the range of the levels of a quantizer.

        One level is worth one step of the tensor that the comparators read.
        """
        plan = self.plans[self._numbers[name]]
        return Range(self._tables[name].range.scale / plan.stretch, plan.zero_point)

    def _source(self, ref: Ref) -> Source | None:
        """Returns a tensor as the file has it, or None for a tensor without a range."""
        name = self._decisions.makers[ref.step]
        if name in self._tables:
            table = self._tables[name]
            return Source(self._level_range(name), table.step / table.range.scale)
        return Source(self._ranges[name], 1.0) if name in self._ranges else None


def _most_stretch(table: LevelTable) -> int:
    """Returns the largest allowed number of int8 steps per level of a table.

    It keeps the range of the levels wide enough for the converter. Only a tensor whose numbers are
    all near 0 has a range as narrow as that. Such tensors are behind dead channels, or in a network
    that has not been trained.
    """
    widest = max(1, int(255 * table.range.scale / _SMALLEST_WIDTH))
    return min(widest, table.stretch)
