"""Comparators and ramps, written as operators of a file."""

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from tf_n2uq._compat.tflite_schema import schema
from tf_n2uq.tflite.levels.comparators import (
    HIGHEST,
    INT8_STEPS,
    LOWEST,
    ComparatorPlan,
    base_zero_point,
)
from tf_n2uq.tflite.levels.ramps import Ramp
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.level_run import NONE, RELU, LevelRun

_INT8, _INT32 = schema.TensorType.INT8, schema.TensorType.INT32


class Lowering(LevelRun):
    """Writes the operators of one plan.

    Let s be the scale of the input x. Every term of the sum is worth s per level:

    - A comparator [x > t] is SUB(x, t), written to a tensor of scale s/255 and zero point -128, so
      that it saturates at both ends. A comparator [x < t] is SUB(t, x).
    - A ramp of m levels with one width w is SUB(x, start), written with the scale s·w and the zero
      point 127 − m, so that it saturates at the upper end. A MUL by a constant turns the scale s·w
      into s, and its RELU ends the ramp at the lower end.
    - A ramp whose width differs from channel to channel is a 1×1 DEPTHWISE_CONV_2D with a RELU.

    ADDs of scale s/stretch add up the terms. XNNPACK turns two or more operators on one tensor and
    constants into a table, but not a single operator. So an operator that subtracts or adds one
    number gets a RELU that changes nothing.
    """

    def __init__(
        self, model: Any, graph: Any, source: int, result: int, plan: ComparatorPlan
    ) -> None:
        """Prepares the operators.

        Args:
            model: A `ModelT`, which gets buffers and operator codes.
            graph: The subgraph that gets the tensors.
            source: The index of the int8 tensor that the plan reads.
            result: The index of the tensor that the levels are written to. It has the scale of
                the source divided by the plan's stretch, and the plan's zero point.
            plan: The comparators and ramps.
        """
        super().__init__(model, graph, source, result)
        self._plan = plan

    def written(self) -> list[Any]:
        """Returns the operators in the order of execution; the last one writes the result."""
        plan = self._plan
        count = max(1, len(plan.ramps) + plan.comparators)
        base = plan.base
        if base is None and count == 1:
            # A single term does not have the scale of the output, but a sum has.
            base = np.zeros(1, np.int8)
        level: int | None = None
        for number, term in enumerate(self._terms()):
            last = number == count - 1 and base is None
            level = term if level is None else self._sum(level, term, NONE, last)
        if base is not None:
            assert level is not None
            zero = base_zero_point(base)
            assert zero is not None
            constant = self.constant(f'{self.name}/base', base + zero, self.input_scale, zero)
            self._sum(level, constant, self._idle_relu(base, plan.zero_point), last=True)
        return self.operators

    def _terms(self) -> Iterator[int]:
        """Yields the tensors that are added up.

        Each one is computed right before it is added, so that few tensors are alive at a time.
        """
        plan = self._plan
        for number, ramp in enumerate(plan.ramps):
            yield self._ramp(f'{self.name}/ramp_{number}', ramp)
        for number, threshold in enumerate(plan.rising):
            yield self._compare(f'{self.name}/above_{number}', threshold, below=False)
        for number, threshold in enumerate(plan.falling):
            yield self._compare(f'{self.name}/below_{number}', threshold, below=True)
        if not plan.ramps and not plan.comparators:
            # A constant function still needs an operator that computes it.
            never = np.asarray([HIGHEST], np.int8)
            yield self._compare(f'{self.name}/above_0', never, below=False)

    def _compare(self, name: str, threshold: np.ndarray, below: bool) -> int:
        constant = self.constant(f'{name}/threshold', threshold, self.input_scale, self.input_zero)
        operands = [constant, self.input] if below else [self.input, constant]
        output = self.tensor(name, self.input_scale / INT8_STEPS, LOWEST)
        return self._append('SUB', operands, output, self._idle_relu(threshold, LOWEST))

    def _ramp(self, name: str, ramp: Ramp) -> int:
        zero = None if ramp.parts is None else self._zero_of(ramp)
        return self._convolved(name, ramp) if zero is None else self._subtracted(name, ramp, zero)

    def _zero_of(self, ramp: Ramp) -> int | None:
        """Returns a zero point with which int8 holds all starts of a ramp, or None."""
        starts = self._starts(ramp)
        least, most = LOWEST - int(starts.min()), HIGHEST - int(starts.max())
        zero = min(max(least, 0), most)
        return zero if least <= zero <= most and LOWEST <= zero <= HIGHEST else None

    def _starts(self, ramp: Ramp) -> np.ndarray:
        """Returns the starts of a ramp, in parts of a step from the input's zero point."""
        assert ramp.parts is not None
        return np.rint(ramp.parts * (ramp.sign * ramp.start - self.input_zero)).astype(np.int32)

    def _subtracted(self, name: str, ramp: Ramp, zero: int) -> int:
        assert ramp.parts is not None
        width = float(ramp.width[0])
        start = self.constant(
            f'{name}/start', self._starts(ramp) + zero, self.input_scale / ramp.parts, zero
        )
        steps = self.tensor(f'{name}/steps', self.input_scale * width, HIGHEST - ramp.levels)
        operands = [self.input, start] if ramp.sign > 0 else [start, self.input]
        self._append('SUB', operands, steps, NONE)
        one = self.constant(f'{name}/one', np.ones(1, np.int8), 1 / width, 0)
        output = self.tensor(name, self.input_scale, HIGHEST - ramp.levels)
        return self._append('MUL', [steps, one], output, RELU)

    def _convolved(self, name: str, ramp: Ramp) -> int:
        channels = self.shape[-1]
        start = np.broadcast_to(ramp.start.reshape(-1), [channels])
        bias = np.rint(HIGHEST * (ramp.sign * self.input_zero - start)).astype(np.int32)
        kernel = np.full((1, 1, 1, channels), HIGHEST * ramp.sign, np.int8)
        scales = 1 / (HIGHEST * ramp.width.reshape(-1))
        operands = [
            self.input,
            self.weights(f'{name}/kernel', kernel, _INT8, scales),
            self.weights(f'{name}/bias', bias, _INT32, scales * self.input_scale),
        ]
        output = self.tensor(name, self.input_scale, HIGHEST - ramp.levels)
        self._append('DEPTHWISE_CONV_2D', operands, output, RELU)
        options = self.operators[-1].builtinOptions
        options.padding = schema.Padding.VALID
        options.strideH = options.strideW = options.depthMultiplier = 1
        options.dilationHFactor = options.dilationWFactor = 1
        return output

    def _sum(self, left: int, right: int, activation: int, last: bool) -> int:
        name = f'{self.name}/sum_{len(self.operators)}'
        output = self.output if last else self.tensor(name, self.output_scale, LOWEST)
        return self._append('ADD', [left, right], output, activation)

    def _idle_relu(self, constant: np.ndarray, zero_point: int) -> int:
        """Returns RELU where it changes nothing and makes XNNPACK take a table, else NONE."""
        return RELU if constant.size == 1 and zero_point == LOWEST else NONE

    def _append(self, name: str, inputs: list[int], output: int, activation: int) -> int:
        self.append(name, inputs, output).fusedActivationFunction = activation
        return output


def ramp_levels(graph: Any, operator: Any) -> int:
    """Returns the number of levels of the ramp whose last operator is given.

    Args:
        graph: The subgraph of the operator.
        operator: Any operator of a file. The file need not be trusted.

    Returns:
        The number of levels; 0 if the operator is not the last one of a ramp.
    """
    if len(operator.outputs) != 1 or operator.outputs[0] < 0:
        return 0
    tensor = graph.tensors[operator.outputs[0]]
    # A depthwise convolution with a RELU might be a layer, so that only the name tells.
    if not re.search(r'/ramp_\d+$', flatbuffer.text(tensor.name)):
        return 0
    return max(0, HIGHEST - flatbuffer.zero_point_of(tensor))
