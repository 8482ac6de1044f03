"""Any function of an int8 value as a sum of comparators.

Quantization-aware training ends with, per channel, a function from the 256 values that an int8
tensor may take to a few integer levels: learned thresholds, and the bias, activation and bias in
front of them. Whatever it is,

    level(q) = base + Σ_k [q > rising_k] + Σ_j [q < falling_j]

holds for some thresholds per channel, because every step up is one comparator more that is on, and
every step down is one fewer. All comparators are added, none is subtracted, so that sums stay small
and `base` is seldom needed.
"""

import dataclasses

import numpy as np

LOWEST, HIGHEST = -128, 127
SPAN = HIGHEST - LOWEST


@dataclasses.dataclass(frozen=True)
class ComparatorPlan:
    """Comparators that add up to a table.

    Attributes:
        channel_shape: Shape of one table row: what the thresholds are per.
        rising: One int8 array per comparator `q > threshold`: of `channel_shape`, or of shape [1]
            where all channels have the same threshold. 127: never on.
        falling: The same for comparators `q < threshold`. -128: never on.
        base: int8 array, of `channel_shape` or [1], to add to the sum; None if it is 0 everywhere.
        lowest: The lowest level, at most 0.
        stretch: What one level counts for in int8.
    """

    channel_shape: tuple[int, ...]
    rising: tuple[np.ndarray, ...]
    falling: tuple[np.ndarray, ...]
    base: np.ndarray | None
    lowest: int
    stretch: int

    @property
    def comparators(self) -> int:
        """Number of comparators."""
        return len(self.rising) + len(self.falling)

    @property
    def zero_point(self) -> int:
        """The int8 value of level 0."""
        return LOWEST - self.stretch * self.lowest

    def evaluate(self, q: np.ndarray) -> np.ndarray:
        """What the comparators add up to.

        Args:
            q: Integers in -128..127, of a shape that ends with `channel_shape` or broadcasts
                against it.

        Returns:
            int32 levels.
        """
        q = np.asarray(q, np.int32)
        level = np.zeros(np.broadcast_shapes(q.shape, self.channel_shape), np.int32)
        for threshold in self.rising:
            level += q > threshold.astype(np.int32)
        for threshold in self.falling:
            level += q < threshold.astype(np.int32)
        return level if self.base is None else level + self.base


def plan_comparators(table: np.ndarray, steps: int = 1, most_stretch: int = SPAN) -> ComparatorPlan:
    """Finds the fewest comparators that add up to a table.

    One level counts for as much in int8 as fits: the bias of the next kernel is an integer in
    units of one count, and the coarser these are, the more of the bias is lost.

    Args:
        table: Integers of shape [256, *channel_shape]: `table[q + 128]` is the level for the int8
            value q. Levels must lie in -128..127 and span at most 255 with 0, which is what an int8
            sum holds.
        steps: From the lowest to the highest level that there are, whether the table reaches them
            or not. It is what levels are stretched for: not by how much of them happens to be in
            use.
        most_stretch: What one level may count for at most, >= 1.

    Returns:
        The plan. It has as many comparators as the channel with the most steps up plus the channel
        with the most steps down, a jump of n levels being n steps.

    Raises:
        TypeError: `table` does not hold integers.
        ValueError: `table` has not 256 rows, has no channel, or holds levels that an int8 sum
            cannot.
    """
    table = _checked_table(table)
    rises = np.diff(table, axis=0)
    up, down = np.maximum(rises, 0), np.maximum(-rises, 0)
    # A step after row i turns `q > i - 128` on, or `q < i - 127` off.
    rising = [after + LOWEST for after in _positions(up)]
    falling = [np.where(after < 255, after + LOWEST + 1, LOWEST) for after in _positions(down)]
    base = table[0] - down.sum(axis=0)
    lowest = min(0, int(table.min()))
    # Comparators are counted from 0; the levels that they add up to start at the base.
    # The most that a sum or a level lies above the lowest; level 0 is what is padded.
    span = max(int((table - base).max()), max(steps, max(0, int(table.max())) - lowest))
    if span > SPAN:
        raise ValueError(
            f'`table` must need at most {SPAN} comparators that are on at once, the most that an '
            f'int8 sum counts; got {span}. Use activations of at most 7 bits.'
        )
    return ComparatorPlan(
        channel_shape=table.shape[1:],
        rising=tuple(_collapsed(threshold) for threshold in rising),
        falling=tuple(_collapsed(threshold) for threshold in falling),
        base=_collapsed(base) if base.any() else None,
        lowest=lowest,
        stretch=min(SPAN // max(1, span), most_stretch),
    )


def _checked_table(table: np.ndarray) -> np.ndarray:
    table = np.asarray(table)
    if not np.issubdtype(table.dtype, np.integer):
        raise TypeError(f'`table` must hold integer levels, got dtype {table.dtype}.')
    if table.ndim < 1 or table.shape[0] != 256 or table.size == 0:
        raise ValueError(
            '`table` must have the shape [256, *channel_shape], one row per int8 value and at '
            f'least one channel; got {table.shape}.'
        )
    if table.min() < LOWEST or table.max() > HIGHEST:
        raise ValueError(
            f'`table` must hold levels in {LOWEST}..{HIGHEST}, which int8 can; got '
            f'{table.min()}..{table.max()}. Use activations of at most 7 bits.'
        )
    if table.ndim == 1:
        table = table[:, np.newaxis]
    return table.astype(np.int32)


def _positions(steps: np.ndarray) -> list[np.ndarray]:
    """Per unit step, the row after which it happens; 255 where a channel has no more steps.

    Args:
        steps: Non-negative int32 array [255, *channel_shape]: how many unit steps happen from row i
            to row i + 1.

    Returns:
        As many int32 arrays of channel_shape as the busiest channel has steps.
    """
    seen = steps.cumsum(axis=0)
    return [(seen <= taken).sum(axis=0) for taken in range(int(seen[-1].max()))]


def _collapsed(values: np.ndarray) -> np.ndarray:
    """int8 values, as one where all channels have the same."""
    values = values.astype(np.int8)
    return values.reshape(-1)[:1] if (values == values.flat[0]).all() else values
