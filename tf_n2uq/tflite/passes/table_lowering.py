"""Chains of lines and bends, written as operators of a file."""

from __future__ import annotations

from typing import Any

import numpy as np

from tf_n2uq.tflite.levels.comparators import HIGHEST, INT8_STEPS, LOWEST
from tf_n2uq.tflite.levels.rounding import MULTIPLIER_ONE
from tf_n2uq.tflite.levels.table_chain import Bend, ChainPlan, Line
from tf_n2uq.tflite.passes.level_run import NONE, LevelRun

# XNNPACK refuses a constant whose scale is less than 1/1024 of that of the result. Such a constant
# would be added to no effect.
_LEAST_CONSTANT = 1 / 1000


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
        for number, part in enumerate(self._plan.parts):
            name = f'{self.name}/table_{number}'
            if isinstance(part, Bend):
                self._bend(name, part)
            else:
                self._line(name, part, self._zero_behind(number))
        scale = self._plan.stretch * self.output_scale / self._scale
        one = self.constant(f'{self.name}/one', np.ones(1, np.int8), scale, 0)
        options = self.append('MUL', [self._last, one], self.output)
        options.fusedActivationFunction = NONE
        return self.operators

    def _zero_behind(self, number: int) -> int:
        """Returns the zero point of what a line writes."""
        parts = self._plan.parts
        following = parts[number + 1] if number + 1 < len(parts) else None
        return following.zero if isinstance(following, Bend) else self._plan.level_zero

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
