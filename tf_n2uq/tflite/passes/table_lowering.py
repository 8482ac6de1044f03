"""Chains of lines and bends, written as operators of a file."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from tf_n2uq.tflite.levels.comparators import HIGHEST, INT8_STEPS, LOWEST
from tf_n2uq.tflite.levels.rounding import MULTIPLIER_ONE
from tf_n2uq.tflite.levels.table_chain import Bend, ChainPlan, Line
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.level_run import NONE, LevelRun

# XNNPACK refuses a constant whose scale is less than 1/1024 of that of the result. Such a constant
# would be added to no effect.
_LEAST_CONSTANT = 1 / 1000
# The end of the name of the tensor that the last line writes.
_CHAIN = '/chain'


class TableLowering(LevelRun):
    """Writes the operators of one chain.

    Each operator reads what the one before it has written. The quotients of the scales of their
    tensors are what the operators multiply by, so that scales follow from one another.

    - A line is a SUB of one number from a tensor, or of a tensor from one number if the line falls.
    - A bend is a LEAKY_RELU. Its zero is the zero point of the tensor that it reads.
    - At the end, a MUL by 1 stretches the levels. The scale of the 1 turns the scale of the chain
      into that of the result.
    """

    def __init__(self, model: Any, graph: Any, source: int, result: int, plan: ChainPlan) -> None:
        """Prepares the operators.

        Args:
            model: A `ModelT`, which gets buffers and operator codes.
            graph: The subgraph that gets the tensors.
            source: The index of the int8 tensor that the plan reads.
            result: The index of the tensor that the levels are written to. It has the scale of
                the source divided by the plan's stretch, and the plan's zero point.
            plan: The lines and bends.
        """
        super().__init__(model, graph, source, result)
        self._plan = plan
        # The tensor that has been written last, its scale and its zero point.
        self._last, self._scale, self._zero = source, self.input_scale, self.input_zero

    def written(self) -> list[Any]:
        """Returns the operators in the order of execution; the last one writes the result."""
        *parts, last = self._plan.parts
        for number, part in enumerate(parts):
            name = f'{self.name}/part_{number}'
            if isinstance(part, Bend):
                self._bend(name, part)
            else:
                following = self._plan.parts[number + 1]
                assert isinstance(following, Bend)
                self._line(name, part, following.zero)
        assert isinstance(last, Line)
        self._line(self.name + _CHAIN, last, self._plan.level_zero)
        scale = self._plan.stretch * self.output_scale / self._scale
        one = self.constant(f'{self.name}/one', np.ones(1, np.int8), scale, 0)
        options = self.append('MUL', [self._last, one], self.output)
        options.fusedActivationFunction = NONE
        return self.operators

    def _line(self, name: str, line: Line, zero: int) -> None:
        scale = self._scale / abs(line.gain)
        # The number that is subtracted, in steps of the result.
        rest = zero - line.gain * self._zero - line.offset
        constant = self._difference(f'{name}/number', rest if line.gain > 0 else -rest, scale)
        operands = [self._last, constant] if line.gain > 0 else [constant, self._last]
        self._write(name, 'SUB', operands, scale, zero).fusedActivationFunction = NONE

    def _difference(self, name: str, steps: float, scale: float) -> int:
        """Adds a constant that is worth a number of steps of a scale."""
        if abs(steps) < _LEAST_CONSTANT:
            return self.constant(name, np.zeros(1, np.int8), scale, 0)
        # The more parts a number has, the less the rounding of its scale counts.
        parts = min(INT8_STEPS, int(abs(steps) / _LEAST_CONSTANT))
        value, zero = (HIGHEST, HIGHEST - parts) if steps > 0 else (LOWEST, LOWEST + parts)
        return self.constant(name, np.full(1, value, np.int8), abs(steps) / parts * scale, zero)

    def _bend(self, name: str, bend: Bend) -> None:
        scale = self._scale * MULTIPLIER_ONE / bend.above
        options = self._write(name, 'LEAKY_RELU', [self._last], scale, bend.offset)
        options.alpha = bend.below / bend.above

    def _write(self, name: str, operator: str, inputs: list[int], scale: float, zero: int) -> Any:
        self._last = self.tensor(name, scale, zero)
        self._scale, self._zero = scale, zero
        return self.append(operator, inputs, self._last)


@dataclasses.dataclass(frozen=True)
class WrittenChain:
    """A chain as it is found in a file.

    Attributes:
        operators: Its operators, the last one first.
        levels: The number of levels above the lowest one, which may not all be in use.
        level_scale: The number that a level is worth.
    """

    operators: tuple[Any, ...]
    levels: int
    level_scale: float


def written_chain(
    model: Any, graph: Any, operator: Any, makers: Mapping[int, Any]
) -> WrittenChain | None:
    """Returns the chain whose last operator is given.

    Args:
        model: A `ModelT`. It need not be trusted.
        graph: A subgraph of it.
        operator: Any operator of the subgraph.
        makers: The operator that computes each tensor, from `flatbuffer.producers`.

    Returns:
        The chain; None if the operator is not the last one of a chain.
    """
    if flatbuffer.operator_name(model, operator) != 'MUL' or len(operator.inputs) != 2:
        return None
    indices = [int(index) for index in (*operator.inputs, *operator.outputs)]
    if len(indices) != 3 or min(indices) < 0:
        return None
    ends = [graph.tensors[index] for index in indices]
    scales = [flatbuffer.scales_of(end) for end in ends]
    if not flatbuffer.text(ends[0].name).endswith(_CHAIN) or any(len(s) != 1 for s in scales):
        return None
    level_scale = float(scales[0][0]) * float(scales[1][0])
    stretch = level_scale / float(scales[2][0]) if scales[2][0] else math.nan
    if not 0.5 < stretch < INT8_STEPS + 0.5:
        return None
    highest = HIGHEST - flatbuffer.zero_point_of(ends[0])
    lowest = (LOWEST - flatbuffer.zero_point_of(ends[2])) // round(stretch)
    prefix = flatbuffer.text(ends[2].name) + '/'
    operators = [operator]
    while True:
        before = [int(index) for index in operators[-1].inputs if int(index) in makers]
        if not before or not flatbuffer.text(graph.tensors[before[0]].name).startswith(prefix):
            break
        if makers[before[0]] in operators:
            break
        operators.append(makers[before[0]])
    return WrittenChain(tuple(operators), max(0, highest - lowest), level_scale)
