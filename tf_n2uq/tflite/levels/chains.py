"""From a table of levels to a chain of operators."""

from __future__ import annotations

import numpy as np

from tf_n2uq.tflite.levels.chain_search import Effort, straightened
from tf_n2uq.tflite.levels.comparators import HIGHEST, INT8_STEPS, LOWEST
from tf_n2uq.tflite.levels.folds import fold, mirrored
from tf_n2uq.tflite.levels.table_chain import ChainPlan, Line, Part
from tf_n2uq.tflite.levels.windows import Windows

# The gain of a line that gives the same for all values.
_FLAT = 1 / 512
_Q = np.arange(LOWEST, HIGHEST + 1)[np.newaxis]


def plan_chain(
    table: np.ndarray, steps: int, most_stretch: int, most_operators: int, effort: Effort
) -> ChainPlan | None:
    """Finds a chain of operators that gives the levels of a table, if all channels are alike.

    Args:
        table: Integers `[256, *channel_shape]` in -128..127: the level for each int8 value.
        steps: The number of steps from the lowest to the highest level of the quantizer.
        most_stretch: The largest allowed number of int8 steps per level, >= 1.
        most_operators: The largest allowed number of operators.
        effort: How much to try.

    Returns:
        The plan; None if channels differ, or if no chain has been found.
    """
    columns = table.reshape(256, -1)
    if not (columns == columns[:, :1]).all():
        return None
    column = columns[:, 0]
    parts = _parts(column, (most_operators - 2) // 2, effort)
    if parts is None:
        return None
    highest, lowest = int(column.max()), min(0, int(column.min()))
    # The last line saturates at the highest level.
    level_zero = min(HIGHEST, HIGHEST - highest)
    last = parts[-1]
    assert isinstance(last, Line)
    span = max(1, steps, max(0, highest) - lowest)
    plan = ChainPlan(
        channel_shape=table.shape[1:] or (1,),
        parts=(*parts[:-1], Line(last.gain, last.offset + level_zero)),
        level_zero=level_zero,
        lowest=lowest,
        stretch=min(INT8_STEPS // span, most_stretch),
    )
    return plan if plan.is_exact(column) else None


def _parts(column: np.ndarray, most_bends: int, effort: Effort) -> list[Part] | None:
    """Returns lines and bends, the last of which gives a level for each value."""
    rises = np.diff(column)
    if most_bends < 0:
        return None
    if not rises.any():
        return [Line(_FLAT, float(column[0]))]
    if (rises >= 0).all():
        found = straightened(Windows.of(_Q, _Q, column), most_bends, effort)
        return None if found is None else found[1]
    if (rises <= 0).all():
        windows = Windows.of(mirrored(_Q), mirrored(_Q), column)
        found = straightened(windows, most_bends, effort)
        return None if found is None else _reading_mirrored(found[1])
    folds = fold(column) if most_bends else None
    found = None if folds is None else straightened(folds.windows, most_bends - 1, effort)
    if folds is None or found is None:
        return None
    number, parts = found
    rest = _reading_mirrored(parts) if folds.mirrored else parts
    return [*folds.bends.parts(number), *rest]


def _reading_mirrored(parts: list[Part]) -> list[Part]:
    """Returns parts that do with values what others do with mirrored values."""
    first = parts[0]
    assert isinstance(first, Line)
    return [Line(-first.gain, first.offset + first.gain * (LOWEST + HIGHEST)), *parts[1:]]
