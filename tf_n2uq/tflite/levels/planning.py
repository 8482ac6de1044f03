"""Chooses how a table of levels is computed: by comparators, or by a chain of operators."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from tf_n2uq.tflite.levels import costs
from tf_n2uq.tflite.levels.chain_search import QUICK, THOROUGH
from tf_n2uq.tflite.levels.chains import plan_chain
from tf_n2uq.tflite.levels.comparators import INT8_STEPS, ComparatorPlan, plan_comparators
from tf_n2uq.tflite.levels.table_chain import OPERATORS_PER_TABLE, ChainPlan

# More tables are never needed, so more operators are not tried.
_MOST_TABLES = 3


class LevelPlan(Protocol):
    """A way to compute the levels of a table, as the export sees it."""

    @property
    def channel_shape(self) -> tuple[int, ...]:
        """The shape of one row of the table."""

    @property
    def lowest(self) -> int:
        """The lowest level, at most 0."""

    @property
    def stretch(self) -> int:
        """The number of int8 steps that one level counts for."""

    @property
    def zero_point(self) -> int:
        """The int8 value of level 0."""

    @property
    def operators(self) -> int:
        """The number of operators."""

    def evaluate(self, q: np.ndarray) -> np.ndarray:
        """Returns the levels that int8 values have.

        Args:
            q: Integers in -128..127, of a shape that ends with `channel_shape` or broadcasts
                against it.

        Returns:
            int32 levels, of the shape of `q` broadcast against `channel_shape`.
        """


class Planner(Protocol):
    """A function that chooses how a table of levels is computed."""

    def __call__(
        self, table: np.ndarray, steps: int = 1, most_stretch: int = INT8_STEPS
    ) -> LevelPlan:
        """Plans a table.

        Args:
            table: Integers `[256, *channel_shape]`, as for `plan_comparators`.
            steps: The number of steps from the lowest to the highest level of the quantizer.
            most_stretch: The largest allowed number of int8 steps per level, >= 1.

        Returns:
            The plan.

        Raises:
            TypeError: If `table` does not hold integers.
            ValueError: If `table` has not 256 rows or no channel, or holds levels that an int8 sum
                cannot hold.
        """


def plan_tables(
    table: np.ndarray, steps: int = 1, most_stretch: int = INT8_STEPS
) -> ComparatorPlan | ChainPlan:
    """Plans for XNNPACK, which replaces a chain of operators by tables: `Planner`.

    The plan with the shortest time is chosen: a chain wherever there is one, if all channels are
    alike, and otherwise comparators.
    """
    comparators = plan_comparators(table, steps, most_stretch)
    tables = min(_MOST_TABLES, _time(comparators) // costs.TABLE)
    chosen: ComparatorPlan | ChainPlan = comparators
    for effort in (QUICK, THOROUGH):
        operators = tables * OPERATORS_PER_TABLE
        chain = plan_chain(table, steps, most_stretch, operators, effort)
        if chain is not None:
            chosen, tables = chain, chain.tables - 1
    return chosen


def plan_operators(
    table: np.ndarray, steps: int = 1, most_stretch: int = INT8_STEPS
) -> ComparatorPlan | ChainPlan:
    """Plans for a runtime that computes operator by operator: `Planner`.

    The plan with the fewest operators is chosen. A chain with as many operators as comparators is
    better than they are, because it holds two tensors at a time, and they hold four.
    """
    comparators = plan_comparators(table, steps, most_stretch)
    most = comparators.operators
    return plan_chain(table, steps, most_stretch, most, QUICK) or comparators


def _time(plan: ComparatorPlan) -> int:
    """Returns the time of comparators if all channels are alike, see `costs`.

    Each comparator and each ramp is a table then.
    """
    terms = max(1, plan.comparators + len(plan.ramps))
    if terms == 1:
        return costs.TABLE
    return (terms - 1) * costs.SUM + (terms + (plan.base is not None)) * costs.TABLE
