"""Any function of an int8 value as a sum of comparators and ramps.

Quantization-aware training ends with a function per channel, from the 256 values of an int8
tensor to a few integer levels. The function consists of learned thresholds and of the bias,
activation and bias in front of them. Whatever the function is,

    level(q) = base + Σ_k [q > rising_k] + Σ_j [q < falling_j]

holds for some thresholds per channel. With every step up, one more comparator is on, and with every
step down, one fewer. All comparators are added and none is subtracted, so that sums stay small and
`base` is seldom needed.

Thresholds that are about equally far apart in every channel become one operator, a ramp.
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
# The number of steps from the lowest to the highest value of int8.
INT8_STEPS = HIGHEST - LOWEST


@dataclasses.dataclass(frozen=True)
class ComparatorPlan:
    """Comparators and ramps that add up to a table.

    Attributes:
        channel_shape: The shape of one row of the table. Each of its entries has thresholds of its
            own.
        rising: One int8 array per comparator `q > threshold`, of `channel_shape`, or of shape [1]
            where all channels have the same threshold. A comparator with the threshold 127 is
            never on.
        falling: One int8 array per comparator `q < threshold`, likewise. A comparator with the
            threshold -128 is never on.
        ramps: The ramps. Their arrays have `channel_shape` or the shape [1].
        base: int32 array of `channel_shape` or [1] that is added to the sum; None if it is 0
            everywhere.
        lowest: The lowest level, at most 0.
        stretch: The number of int8 steps that one level counts for.
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
        """The number of comparators that are no part of a ramp."""
        return len(self.rising) + len(self.falling)

    @property
    def operators(self) -> int:
        """The number of operators of comparators and ramps, with those that add them up.

        A ramp that is a subtraction has two operators.
        """
        subtracted = sum(ramp.parts is not None for ramp in self.ramps)
        terms = max(1, self.comparators + len(self.ramps))
        # A single term is added to a base, even if that is 0, to have the scale of a sum.
        return terms + subtracted + terms - 1 + (self.base is not None or terms == 1)

    @property
    def zero_point(self) -> int:
        """The int8 value of level 0."""
        return LOWEST - self.stretch * self.lowest

    def evaluate(self, q: np.ndarray) -> np.ndarray:
        """Returns the levels that the comparators and ramps add up to.

        Args:
            q: Integers in -128..127, of a shape that ends with `channel_shape` or broadcasts
                against it.

        Returns:
            int32 levels, of the shape of `q` broadcast against `channel_shape`.
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


def plan_comparators(
    table: np.ndarray, steps: int = 1, most_stretch: int = INT8_STEPS
) -> ComparatorPlan:
    """Finds the cheapest comparators and ramps that add up to a table.

    One level counts for as many int8 steps as possible. The bias of the next kernel is a whole
    number of such steps per level, so larger steps would lose more of the bias.

    Args:
        table: Integers `[256, *channel_shape]`: `table[q + 128]` is the level for the int8 value
            q. Levels must lie in -128..127. The range of all levels and 0 may span at most 255,
            because an int8 sum holds no more.
        steps: The number of steps from the lowest to the highest level of the quantizer, whether
            the table reaches these levels or not. The stretch follows from this number, so that it
            does not depend on the levels that happen to be in use.
        most_stretch: The largest allowed number of int8 steps per level, >= 1.

    Returns:
        The plan. Without ramps, its number of comparators would be the largest number of steps up
        in one channel plus the largest number of steps down in one channel, where a jump of n
        levels is n steps.

    Raises:
        TypeError: If `table` does not hold integers.
        ValueError: If `table` has not 256 rows or no channel, or holds levels that an int8 sum
            cannot hold.
    """
    table = _checked_table(table)
    channel_shape = table.shape[1:]
    channels = table.reshape(256, -1)
    sums = []
    for staircase, depthwise in _staircases(channels, channel_shape):
        sums.append(staircase.covered(depthwise))
    chosen = min(sums, key=lambda each: each.cost)
    lowest = min(0, int(table.min()))
    # Comparators are counted from 0, and the levels that they add up to start at the base. The
    # span is the largest distance of a sum or a level from the lowest level. Level 0 is part of
    # it, because padding writes level 0.
    sum_span = int((channels - chosen.base).max())
    span = max(sum_span, max(steps, max(0, int(table.max())) - lowest))
    if span > INT8_STEPS:
        raise ValueError(
            f'table: expected levels that need at most {INT8_STEPS} comparators to be on at once, '
            f'as an int8 sum counts no further, got {span}. Use activations of at most 7 bits.'
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
        stretch=min(INT8_STEPS // max(1, span), most_stretch),
    )


def base_zero_point(base: np.ndarray) -> int | None:
    """Returns the zero point nearest to 0 with which an int8 constant holds all bases.

    Args:
        base: Integers of any shape, one base per channel.

    Returns:
        The zero point in -128..127, or None if there is none.
    """
    least = max(LOWEST, LOWEST - int(base.min()))
    most = min(HIGHEST, HIGHEST - int(base.max()))
    return min(max(least, 0), most) if least <= most else None


def _checked_base(base: np.ndarray) -> np.ndarray:
    if base_zero_point(base) is None:
        raise ValueError(
            'table: expected channels that start at levels that one int8 tensor holds, got '
            f'{base.min()} to {base.max()}. Use activations of at most 6 bits.'
        )
    return base.astype(np.int32)


def _staircases(
    table: np.ndarray, channel_shape: tuple[int, ...]
) -> list[tuple['_Staircase', bool]]:
    """Returns the staircases of a table `[256, channels]` that may be cheapest to compute.

    The flag beside each staircase tells whether its ramps may be depthwise convolutions.
    """
    if (table == table[:, :1]).all():
        # An operator on a tensor and a single number is so cheap that a depthwise convolution
        # costs more than two of them.
        return [(_Staircase(table[:, :1]), False)]
    staircase = _Staircase(table)
    # A depthwise convolution needs an image, and one function for all pixels of a channel.
    if len(channel_shape) != 3 or channel_shape[:2] != (1, 1):
        return [(staircase, False)]
    # Alignment to a base below 0 would have more comparators on at once, which leaves less room
    # for the stretch.
    if staircase.base.min() < 0:
        return [(staircase, True)]
    return [(staircase, True), (staircase.aligned(), True)]


@dataclasses.dataclass(frozen=True)
class _Sum:
    """Comparators and ramps per channel, and the cost of all of them together."""

    cost: int
    rising: list[np.ndarray]
    falling: list[np.ndarray]
    ramps: tuple[Ramp, ...]
    base: np.ndarray


class _Staircase:
    """The steps of a table.

    Attributes:
        first_on: Integers `[steps up, channels]`, ascending in each channel: the least value that
            has taken the step. It is -128 if all values have, and 128 if no value has.
        last_on: Integers `[steps down, channels]`, descending in each channel: the greatest value
            that has not taken the step. It is -129 if all values have.
        base: Integers `[channels]`: the level where no comparator is on.
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
        """Returns a staircase whose channels all have the lowest base.

        A channel that begins at a higher level gets steps that all values have taken. After that,
        steps of the same number lead to the same level in every channel.
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
        """Finds the cheapest sum; ramps may be depthwise convolutions if `depthwise` is true."""
        margin = DEPTHWISE_MARGIN if depthwise else SUBTRACTED_MARGIN
        up = cover(Windows(self.first_on, LOWEST, HIGHEST, margin), 1, depthwise)
        # A step down of q is a step up of -q.
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
        raise TypeError(
            f'table: expected integer levels, got dtype {table.dtype}. Round the levels and cast '
            'them to an integer type.'
        )
    if table.ndim < 1 or table.shape[0] != 256 or table.size == 0:
        raise ValueError(
            'table: expected the shape [256, *channel_shape], with one row per int8 value and at '
            f'least one channel, got {table.shape}. Give the level of each value from -128 to 127.'
        )
    if table.min() < LOWEST or table.max() > HIGHEST:
        raise ValueError(
            f'table: expected levels in {LOWEST}..{HIGHEST}, which int8 can hold, got '
            f'{table.min()}..{table.max()}. Use activations of at most 7 bits.'
        )
    if table.ndim == 1:
        table = table[:, np.newaxis]
    return table.astype(np.int32)


def _rows_before(steps: np.ndarray) -> np.ndarray:
    """Returns the row before each unit step, or 255 where a channel has no more steps.

    Args:
        steps: int32 `[255, channels]`, >= 0: the number of unit steps from row i to row i + 1.

    Returns:
        int64 `[most steps of a channel, channels]`.
    """
    seen = steps.cumsum(axis=0)
    rows = [(seen <= taken).sum(axis=0) for taken in range(int(seen[-1].max()))]
    return np.reshape(rows, (-1, steps.shape[1])).astype(np.int64)
