"""Any function of an int8 value as a sum of comparators and ramps.

Quantization-aware training ends with, per channel, a function from the 256 values that an int8
tensor may take to a few integer levels: learned thresholds, and the bias, activation and bias in
front of them. Whatever it is,

    level(q) = base + Σ_k [q > rising_k] + Σ_j [q < falling_j]

holds for some thresholds per channel, because every step up is one comparator more that is on, and
every step down is one fewer. All comparators are added, none is subtracted, so that sums stay small
and `base` is seldom needed.

Thresholds that are about equally far apart in every channel are one operator together, a ramp.
"""

import copy
import dataclasses

import numpy as np

from tf_n2uq.tflite.levels.ramps import (
    COMPARATOR_COST,
    DEPTHWISE_MARGIN,
    SUBTRACTED_MARGIN,
    Ramp,
    Windows,
    cover,
)

LOWEST, HIGHEST = -128, 127
SPAN = HIGHEST - LOWEST


@dataclasses.dataclass(frozen=True)
class ComparatorPlan:
    """Comparators and ramps that add up to a table.

    Attributes:
        channel_shape: Shape of one table row: what the thresholds are per.
        rising: One int8 array per comparator `q > threshold`: of `channel_shape`, or of shape [1]
            where all channels have the same threshold. 127: never on.
        falling: The same for comparators `q < threshold`. -128: never on.
        ramps: Runs of more thresholds; what they have per channel is of `channel_shape` or [1].
        base: int32 array, of `channel_shape` or [1], to add to the sum; None if it is 0 everywhere.
        lowest: The lowest level, at most 0.
        stretch: What one level counts for in int8.
    """

    channel_shape: tuple[int, ...]
    rising: tuple[np.ndarray, ...]
    falling: tuple[np.ndarray, ...]
    ramps: tuple[Ramp, ...]
    base: np.ndarray | None
    lowest: int
    stretch: int

    @property
    def comparators(self) -> int:
        """Number of comparators that are no part of a ramp."""
        return len(self.rising) + len(self.falling)

    @property
    def zero_point(self) -> int:
        """The int8 value of level 0."""
        return LOWEST - self.stretch * self.lowest

    def evaluate(self, q: np.ndarray) -> np.ndarray:
        """What the comparators and ramps add up to.

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
        for ramp in self.ramps:
            level += ramp.evaluate(q)
        return level if self.base is None else level + self.base


def plan_comparators(table: np.ndarray, steps: int = 1, most_stretch: int = SPAN) -> ComparatorPlan:
    """Finds the cheapest comparators and ramps that add up to a table.

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
        The plan. Without ramps it would have as many comparators as the channel with the most
        steps up plus the channel with the most steps down, a jump of n levels being n steps.

    Raises:
        TypeError: `table` does not hold integers.
        ValueError: `table` has not 256 rows, has no channel, or holds levels that an int8 sum
            cannot.
    """
    table = _checked_table(table)
    channel_shape = table.shape[1:]
    channels = table.reshape(256, -1)
    sums = []
    for staircase, depthwise in _staircases(channels, channel_shape):
        sums.append(staircase.covered(depthwise))
    chosen = min(sums, key=lambda each: each.cost)
    lowest = min(0, int(table.min()))
    # Comparators are counted from 0; the levels that they add up to start at the base.
    # The most that a sum or a level lies above the lowest; level 0 is what is padded.
    sum_span = int((channels - chosen.base).max())
    span = max(sum_span, max(steps, max(0, int(table.max())) - lowest))
    if span > SPAN:
        raise ValueError(
            f'`table` must need at most {SPAN} comparators that are on at once, the most that an '
            f'int8 sum counts; got {span}. Use activations of at most 7 bits.'
        )

    def shaped(values: np.ndarray) -> np.ndarray:
        return values[:1] if (values == values[0]).all() else values.reshape(channel_shape)

    return ComparatorPlan(
        channel_shape=channel_shape,
        rising=tuple(shaped(each.astype(np.int8)) for each in chosen.rising),
        falling=tuple(shaped(each.astype(np.int8)) for each in chosen.falling),
        ramps=tuple(
            dataclasses.replace(ramp, start=shaped(ramp.start), width=shaped(ramp.width))
            for ramp in chosen.ramps
        ),
        base=shaped(_checked_base(chosen.base)) if chosen.base.any() else None,
        lowest=lowest,
        stretch=min(SPAN // max(1, span), most_stretch),
    )


def base_zero_point(base: np.ndarray) -> int | None:
    """Returns the zero point nearest to 0 with which int8 holds all bases; None if none does."""
    least = max(LOWEST, LOWEST - int(base.min()))
    most = min(HIGHEST, HIGHEST - int(base.max()))
    return min(max(least, 0), most) if least <= most else None


def _checked_base(base: np.ndarray) -> np.ndarray:
    if base_zero_point(base) is None:
        raise ValueError(
            f'`table` must start at levels that one int8 tensor holds, got {base.min()} to '
            f'{base.max()}. Use activations of at most 6 bits.'
        )
    return base.astype(np.int32)


def _staircases(
    table: np.ndarray, channel_shape: tuple[int, ...]
) -> list[tuple['_Staircase', bool]]:
    """Returns the staircases of a table `[256, channels]` that may be cheapest to compute.

    With each comes whether its ramps may be depthwise convolutions.
    """
    if (table == table[:, :1]).all():
        # Operators of one tensor and one number cost less than their sum, and a depthwise
        # convolution costs more than two of them.
        return [(_Staircase(table[:, :1]), False)]
    staircase = _Staircase(table)
    # Only an image whose functions are per channel has a depthwise convolution.
    if len(channel_shape) != 3 or channel_shape[:2] != (1, 1):
        return [(staircase, False)]
    # With less than 0 for its base a sum would have more on at once, and less room to stretch.
    if staircase.base.min() < 0:
        return [(staircase, True)]
    return [(staircase, True), (staircase.aligned(), True)]


@dataclasses.dataclass(frozen=True)
class _Sum:
    """Comparators and ramps, per channel, and what they cost."""

    cost: int
    rising: list[np.ndarray]
    falling: list[np.ndarray]
    ramps: tuple[Ramp, ...]
    base: np.ndarray


class _Staircase:
    """The steps of a table.

    Attributes:
        first_on: Integers `[steps up, channels]`, ascending in each channel: the least value that
            has taken the step; -128 where all have, 128 where none has.
        last_on: Integers `[steps down, channels]`, descending: the greatest value that has not
            taken the step; -129 where all have.
        base: Integers `[channels]`: the level without any of these.
    """

    def __init__(self, table: np.ndarray) -> None:
        rises = np.diff(table, axis=0)
        up, down = np.maximum(rises, 0), np.maximum(-rises, 0)
        self.first_on = _rows_before(up) + LOWEST + 1
        after = _rows_before(down)
        self.last_on = np.where(after < 255, after + LOWEST, LOWEST - 1)
        self.last_on = -np.sort(-self.last_on, axis=0)
        self.base = table[0] - down.sum(axis=0)

    def aligned(self) -> '_Staircase':
        """Takes steps for taken in channels that begin at a higher level than others.

        Then no channel has a base of its own, and steps of one number are to the same level.
        """
        taken = self.base - self.base.min()
        count = int(((self.first_on <= HIGHEST).sum(axis=0) + taken).max())
        never = np.full((count, taken.size), HIGHEST + 1)
        number = np.arange(count)[:, np.newaxis] - taken
        result = copy.copy(self)
        result.first_on = np.take_along_axis(
            np.concatenate([self.first_on, never]), np.maximum(number, 0), axis=0
        )
        result.first_on[number < 0] = LOWEST
        result.base = np.full_like(self.base, self.base.min())
        return result

    def covered(self, depthwise: bool) -> _Sum:
        """Finds the cheapest sum.

        Args:
            depthwise: Whether ramps may be depthwise convolutions.
        """
        margin = DEPTHWISE_MARGIN if depthwise else SUBTRACTED_MARGIN
        up = cover(Windows(self.first_on, LOWEST, HIGHEST, margin), 1, depthwise)
        # -q rises where q falls.
        down = cover(Windows(-self.last_on, -HIGHEST, -LOWEST, margin), -1, depthwise)
        return _Sum(
            cost=up.cost + down.cost + (COMPARATOR_COST if self.base.any() else 0),
            rising=[self.first_on[number] - 1 for number in up.singles],
            falling=[self.last_on[number] + 1 for number in down.singles],
            ramps=(*up.ramps, *down.ramps),
            base=self.base,
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


def _rows_before(steps: np.ndarray) -> np.ndarray:
    """Per unit step, the row before it; 255 where a channel has no more steps.

    Args:
        steps: Non-negative int32 array [255, channels]: how many unit steps happen from row i to
            row i + 1.

    Returns:
        int64 array [as many as the busiest channel has steps, channels].
    """
    seen = steps.cumsum(axis=0)
    rows = [(seen <= taken).sum(axis=0) for taken in range(int(seen[-1].max()))]
    return np.reshape(rows, (-1, steps.shape[1])).astype(np.int64)
