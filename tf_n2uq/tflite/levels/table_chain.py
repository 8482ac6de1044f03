"""Thresholds as a chain of operators on one number each, which XNNPACK makes one table of.

A function of an int8 value that is the same in all channels needs no comparators. Any chain of
operators on a tensor and single numbers is such a function, and XNNPACK replaces up to ten of them
by a table of 256 values, which it finds by running them. So the time of a chain does not depend on
what its operators compute. Two kinds of operators are enough:

- A *line* multiplies by a gain and adds an offset. It is a SUB of one number.
- A *bend* multiplies the values below its zero by one factor, and those above by another. It is a
  LEAKY_RELU.

Lines and bends by turns make up any rising function of straight segments. A last line has one step
of int8 per level, and a MUL stretches its levels.
"""

from __future__ import annotations

import dataclasses
from typing import TypeAlias

import numpy as np

from tf_n2uq.tflite.levels.comparators import HIGHEST, LOWEST
from tf_n2uq.tflite.levels.rounding import Bound, bent, subtracted

# The largest number of operators that XNNPACK makes one table of.
OPERATORS_PER_TABLE = 10


@dataclasses.dataclass(frozen=True)
class Line:
    """The function `round(gain · q + offset)`, which saturates.

    Attributes:
        gain: The factor; its absolute value is in 1/1024..256.
        offset: The int8 value of `q = 0`; it need not be in -128..127, nor a whole number.
    """

    gain: float
    offset: float

    def results(self, q: np.ndarray, bound: Bound) -> np.ndarray:
        """Returns one bound of what kernels give for int8 values; see `rounding`."""
        return subtracted(q, self.gain, self.offset, bound)


@dataclasses.dataclass(frozen=True)
class Bend:
    """The function `round(factor · (q - zero)) + offset`, which saturates.

    Attributes:
        zero: The value at which the factor changes, in -128..127.
        below: The factor of lower values, in parts of 1/256, from -32767 to 32768 and not 0.
        above: The factor of other values, in parts of 1/256, 1..32768.
        offset: The result at the zero, in -128..127.
    """

    zero: int
    below: int
    above: int
    offset: int

    def results(self, q: np.ndarray, bound: Bound) -> np.ndarray:
        """Returns one bound of what kernels give for int8 values; see `rounding`."""
        results = bent(q - self.zero, self.below, self.above, bound)
        return np.clip(results + self.offset, LOWEST, HIGHEST)


Part: TypeAlias = Line | Bend


@dataclasses.dataclass(frozen=True)
class ChainPlan:
    """A chain of operators that gives the levels of a table.

    Attributes:
        channel_shape: The shape of one row of the table. All its entries have the same thresholds.
        parts: The lines and bends. The first one and the last one are lines. The first one reads
            the tensor, and a bend follows a line.
        level_zero: What the last line gives for level 0, in -128..127. A level more is 1 more.
        lowest: The lowest level, at most 0.
        stretch: The number of int8 steps that one level counts for.
    """

    channel_shape: tuple[int, ...]
    parts: tuple[Part, ...]
    level_zero: int
    lowest: int
    stretch: int

    @property
    def operators(self) -> int:
        """The number of operators: one for each part, and one that stretches the levels."""
        return len(self.parts) + 1

    @property
    def tables(self) -> int:
        """The number of tables that XNNPACK makes of the operators."""
        return -(-self.operators // OPERATORS_PER_TABLE)

    @property
    def zero_point(self) -> int:
        """The int8 value of level 0."""
        return LOWEST - self.stretch * self.lowest

    def evaluate(self, q: np.ndarray) -> np.ndarray:
        """Returns the levels that the chain gives.

        Args:
            q: Integers in -128..127, of a shape that ends with `channel_shape` or broadcasts
                against it.

        Returns:
            int32 levels, of the shape of `q` broadcast against `channel_shape`.
        """
        values = np.asarray(q, np.float64)
        for part in self.parts:
            values = part.results(values, Bound.IDEAL)
        shape = np.broadcast_shapes(values.shape, self.channel_shape)
        return np.array(np.broadcast_to(self._stretched(values), shape))

    def is_exact(self, column: np.ndarray) -> bool:
        """Tells whether the chain gives certain levels, however its operators round.

        Args:
            column: Integers `[256]`: the level for each of the int8 values -128..127.
        """
        q = np.arange(LOWEST, HIGHEST + 1)
        least, greatest = q, q
        for part in self.parts:
            # A part falls or rises with the value. A bend with a negative factor does both, but
            # neither bound can be further apart than where the kernels differ.
            ends = [part.results(each, bound) for each in (least, greatest) for bound in Bound]
            least, greatest = np.minimum.reduce(ends), np.maximum.reduce(ends)
        return all(np.array_equal(self._stretched(each), column) for each in (least, greatest))

    def _stretched(self, values: np.ndarray) -> np.ndarray:
        """Returns the levels that values of the last line stand for, as the MUL clips them."""
        return np.maximum(values - self.level_zero, self.lowest).astype(np.int32)
