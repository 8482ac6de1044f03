"""The integer network as a TensorFlow function that the TFLite converter takes as it is."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tf_n2uq.graph.decisions import Decisions
from tf_n2uq.graph.graph import Graph, Ref, Step
from tf_n2uq.graph.offsets import offset_of
from tf_n2uq.layers.layer_spec import Kind
from tf_n2uq.tflite.levels.planning import LevelPlan, Planner, plan_tables
from tf_n2uq.tflite.network.float_steps import find_float_steps
from tf_n2uq.tflite.network.form import AsInKeras, IntegerCall, IntegerForm, Source
from tf_n2uq.tflite.network.kernels import IntegerKernel, with_distinct_constants
from tf_n2uq.tflite.network.level_tables import LevelTable, spread_levels, table_of
from tf_n2uq.tflite.network.ranges import Range, read_ranges
from tf_n2uq.tflite.network.same_range_form import fold_left
from tf_n2uq.tflite.passes.markers import marker_alpha

# The converter takes a range narrower than 1e-6 for an empty one and puts another in its place.
_SMALLEST_WIDTH = 2e-6
# Operators that spread levels take more bytes than half of a kernel with fewer weights.
_LEAST_HALVED = 4096
_AS_IN_KERAS = AsInKeras()


class IntegerNetwork:
    """Runs a quantized graph with the operators that the integer file will have.

    Behind every tensor is a `fake_quant` of the range that the tensor has in the file. Behind every
    kernel is a `fake_quant` of its integer grid. Each quantizer is a marker, in whose place a pass
    over the file puts the operators of a plan.

    Attributes:
        plans: the plan of each marker, by the number of the marker.
        steps: the steps that the outputs depend on, in the order of execution.
        floats: the names of the steps that stay in float.
    """

    def __init__(
        self,
        graph: Graph,
        decisions: Decisions,
        planner: Planner = plan_tables,
        halves_kernels: bool = False,
    ) -> None:
        """Prepares the export.

        Args:
            graph: a quantized graph in which every tensor has a range. Its layers are built and
                hold their weights.
            decisions: the decisions about the graph.
            planner: chooses how thresholds are computed.
            halves_kernels: whether a pass over the file may halve odd kernels. Levels that an
                operator writes by itself, one int8 step apart, are then spread to more steps in
                front of such a kernel.

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
            if name not in decisions.level_writers
        }
        for name in decisions.level_writers if halves_kernels else ():
            if self._feeds_odd_kernel(name):
                self._tables[name] = spread_levels(graph.steps[name], self._ranges[name])
        self._without_left: set[str] = set()
        self._fold_left_parts()
        self.plans: list[LevelPlan] = [
            planner(table.levels, table.steps, _most_stretch(table))
            for table in self._tables.values()
        ]
        self._numbers = {name: number for number, name in enumerate(self._tables)}
        needed = self._needed()
        self.steps = [step for step in graph.in_order() if step.name in needed]
        self.floats = find_float_steps(graph, decisions) & needed
        self._calls = {step.name: self._call_of(step) for step in self.steps if step.inputs}
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
        """Runs the network on inputs whose shapes are known, with the batch.

        Returns:
            The outputs, float32, in the structure of the model's outputs.
        """
        tensors = dict(zip(self._graph.inputs, inputs, strict=True))
        for step in self.steps:
            if step.output not in tensors:
                self.run(step, tensors)
        return tf.nest.map_structure(lambda ref: tensors[ref], self._graph.outputs)

    def inputs_of(self, step: Step) -> list[Ref]:
        """Returns the tensors that a step reads in the file."""
        return [self._tables[step.name].source] if step.name in self._tables else step.inputs

    def run(self, step: Step, tensors: dict[Ref, tf.Tensor]) -> None:
        """Computes a step with the operators that the file will have.

        Args:
            step: one of `steps`.
            tensors: what the step reads. The results of the step are added.
        """
        # The scope gives the tensors of the file the names of their layers.
        with tf.name_scope(step.name):
            sources = [tensors[ref] for ref in self.inputs_of(step)]
            if step.name not in self.floats:
                # Integers that float layers read, too.
                sources = [tf.cast(source, tf.float32) for source in sources]
            result = self._result_of(step, sources)
        # A layer that stays in float may return several tensors.
        for index, tensor in enumerate(tf.nest.flatten(result)):
            tensors[Ref(step.name, index)] = tensor

    def _result_of(self, step: Step, sources: list[tf.Tensor]) -> Any:
        if step.name in self._decisions.level_writers:
            result = self._written_levels(step, sources[0])
            return self._mark(step, result) if step.name in self._tables else result
        if step.name in self._tables:
            return self._mark(step, sources[0])
        if step.name in self._ranges:
            return self._ranges[step.name].quantize(sources[0])
        if self._is_part_of_a_kernel(step):
            return sources[0]
        return self._form_of(step).run(self._calls[step.name], sources, self._kernels[step.name])

    def _written_levels(self, step: Step, inputs: tf.Tensor) -> tf.Tensor:
        """Rounds the output of an operator to levels, which its ReLU clips at level 0."""
        has_relu = self._graph.producer(step.inputs[0]).spec.fuses_as_relu
        return self._ranges[step.name].quantize(inputs if has_relu else tf.nn.relu(inputs))

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
                stack.extend(self._graph.producer(ref) for ref in self.inputs_of(step))
        return names

    def _feeds_odd_kernel(self, name: str) -> bool:
        kernel = self._decisions.fed_kernels.get(name)
        if kernel is None:
            return False
        layer = self._graph.steps[kernel].layer
        return layer.may_be_halved() and layer.layer.count_params() >= _LEAST_HALVED

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
        written = step.output if result is None else Ref(result)
        sources = [self._source(ref) for ref in step.inputs]
        return IntegerCall(
            step=step,
            input_shapes=[self._graph.shape(ref) for ref in step.inputs],
            sources=[source for source in sources if source is not None],
            result=None if result is None else self._ranges[result],
            line=None if line is None else self._graph.steps[line].layer,
            offset_in=offset_of(self._graph, step.inputs[0]),
            offset_out=offset_of(self._graph, written),
            left_matters=step.name not in self._without_left,
        )

    def _fold_left_parts(self) -> None:
        """Leaves the left parts of RPReLUs to the tables of thresholds, where that is cheaper."""
        for step in self._graph.in_order():
            if self._decisions.kinds[step.name] is not Kind.SAME_RANGE:
                continue
            tables = {n: table for n, table in self._tables.items() if table.source == step.output}
            readers = self._graph.consumers(step.output)
            if len(tables) == len(readers) and not self._graph.is_output(step.output):
                folded = fold_left(self._call_of(step), tables)
                if folded is not None:
                    self._tables.update(folded)
                    self._without_left.add(step.name)

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
            spread = name in self._decisions.level_writers
            return Source(
                self._level_range(name),
                table.step / table.range.scale,
                self.plans[self._numbers[name]].stretch if spread else 1,
            )
        return Source(self._ranges[name], 1.0) if name in self._ranges else None


def _most_stretch(table: LevelTable) -> int:
    """Returns the largest allowed number of int8 steps per level of a table.

    It keeps the range of the levels wide enough for the converter. Only a tensor whose numbers are
    all near 0 has a range as narrow as that. Such tensors are behind dead channels, or in a network
    that has not been trained.
    """
    widest = max(1, int(255 * table.range.scale / _SMALLEST_WIDTH))
    return min(widest, table.stretch)
