"""Kernels of 16 odd integers, stored as INT4: halved kernels beside sums of channels.

The integers w of a 4-bit kernel are the odd numbers in -15..15, which INT4 cannot hold. But INT4
can hold (w - 1) / 2, which lies in -8..7, and

    Σ w·x = 2·(Σ (w - 1) / 2 · x + Σ x / 2).

The last sum is the same for all output channels. It adds up levels, and there are few levels, so
the sum of some channels fits int8. A kernel of ones computes such sums once per pixel, and they
join the channels. Every output channel multiplies a sum by the same weight: half of the int8 steps
that one level has in its own channel, divided by the int8 steps that one level has in a sum. All
numbers stay integers, so the results stay the same, to the bit.
"""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tf_n2uq._compat.tflite_schema import schema
from tf_n2uq.tflite.levels.comparators import HIGHEST, INT8_STEPS, LOWEST, ComparatorPlan
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.builder import Builder
from tf_n2uq.tflite.passes.markers import marker_index
from tf_n2uq.tflite.passes.packing import kernel_values, within_four_bits

# The operators whose output consists of levels if their input does. PAD writes level 0.
_KEEPING_LEVELS = ('MAX_POOL_2D', 'PAD', 'RESHAPE')
# The largest INT4 integer, which multiplies a sum.
_LARGEST_WEIGHT = 7
# The bytes that the operators add to a file: those of sums with their CONCATENATION, and those that
# gather patches.
_BYTES_OF_SUMS, _BYTES_OF_PATCHES = 500, 2000


def halve_kernels(model: Any, plans: Sequence[ComparatorPlan]) -> Any:
    """Halves kernels so that INT4 can hold them, where that makes the file smaller.

    A kernel is halved only if it multiplies levels, for which markers stand. Its integers must lie
    in -16..15. Those of one output channel must be all odd or all even; they are even in channels
    that hardly use their input.

    Args:
        model: A `ModelT` with its markers, changed in place. Biases are halved too. The export
            makes them even, except for huge ones, which are rounded here.
        plans: Plan i belongs to the marker of slope `marker_alpha(i)`.

    Returns:
        `model`.
    """
    graph = flatbuffer.main_graph(model)
    levels = _Levels(model, graph, plans)
    readers = flatbuffer.consumers(graph)
    halving = _Halving(model, graph)
    instead: dict[int, list[Any]] = {}
    for operator in graph.operators:
        if flatbuffer.operator_name(model, operator) not in ('CONV_2D', 'FULLY_CONNECTED'):
            continue
        source, kernel = int(operator.inputs[0]), int(operator.inputs[1])
        values = kernel_values(model, graph, kernel, readers)
        plan = levels.plan_of(source)
        shared = len(readers[kernel]) > 1
        if values is None or plan is None or shared or not _can_be_halved(values):
            continue
        grouped = flatbuffer.shape_of(graph.tensors[source])[-1] != values.shape[-1]
        sums = LevelSums.of(plan)
        if not grouped and sums is not None and sums.saves(values.shape):
            instead[id(operator)] = halving.operators(operator, values, sums)
    flatbuffer.replace_operators(graph, instead)
    flatbuffer.drop_unused(model)
    return model


def sums_channels(model: Any, graph: Any, operator: Any) -> bool:
    """Tells whether an operator of a file sums channels for a kernel that has been halved.

    Args:
        model: A `ModelT`.
        graph: The subgraph of the operator.
        operator: Any operator of the subgraph.
    """
    name = flatbuffer.operator_name(model, operator)
    if name != 'FULLY_CONNECTED' or len(operator.inputs) != 2 or operator.inputs[1] < 0:
        return False
    kernel = graph.tensors[operator.inputs[1]]
    # The byte of a one, or of two ones in INT4.
    ones = {'INT8': 0x01, 'INT4': 0x11}.get(flatbuffer.type_name(kernel), 0)
    stored = np.frombuffer(flatbuffer.buffer_bytes(model, kernel), np.uint8)
    return bool(np.any(stored) and not np.any(stored & ~np.uint8(ones)))


@dataclasses.dataclass(frozen=True)
class LevelSums:
    """The form of sums of levels over channels: they fit int8, and an INT4 weight multiplies them.

    Attributes:
        stretch: The number of int8 steps that one level counts for in its own channel.
        step: The number of int8 steps that one level counts for in a sum.
        most_channels: The largest number of channels that one sum can hold.
    """

    stretch: int
    step: int
    most_channels: int

    @classmethod
    def of(cls, plan: ComparatorPlan) -> LevelSums | None:
        """Finds the form in which one sum holds the most channels.

        Args:
            plan: The plan that makes the levels.

        Returns:
            The form. None if half of a level is no whole number of int8 steps, or if int8 does not
            even hold the sum of one channel.
        """
        half, odd = divmod(plan.stretch, 2)
        if odd:
            return None
        step = next(s for s in range(1, half + 1) if half % s == 0 and half // s <= _LARGEST_WEIGHT)
        axes = (1,) * len(plan.channel_shape)
        levels = plan.evaluate(np.arange(LOWEST, HIGHEST + 1).reshape(-1, *axes))
        # The distance of the levels from level 0 on either side, and the room of int8 there.
        extents = (-int(levels.min()), int(levels.max()))
        rooms = (plan.zero_point - LOWEST, HIGHEST - plan.zero_point)
        fitting = [
            room // (step * extent)
            for extent, room in zip(extents, rooms, strict=True)
            if extent > 0
        ]
        most_channels = min(fitting, default=INT8_STEPS)
        return cls(plan.stretch, step, most_channels) if most_channels else None

    @property
    def weight(self) -> int:
        """The integer by which the halved kernel multiplies a sum."""
        return self.stretch // (2 * self.step)

    def count(self, channels: int) -> int:
        """Returns the number of sums that channels need.

        It is the least number with which channels and sums together are even in number, as XNNPACK
        demands.

        Args:
            channels: The number of channels, >= 1.
        """
        fewest = -(-channels // self.most_channels)
        return fewest + (channels + fewest) % 2

    def kernel(self, channels: int) -> np.ndarray:
        """Returns the int8 kernel `[sums, channels]` of ones and zeros that adds channels up."""
        ones = np.zeros((self.count(channels), channels), np.int8)
        for row, part in zip(ones, np.array_split(np.arange(channels), len(ones)), strict=True):
            row[part] = 1
        return ones

    def saves(self, shape: tuple[int, ...]) -> bool:
        """Tells whether halving makes the file smaller.

        Args:
            shape: The shape of the int8 kernel, with the output channels first and the input
                channels last.
        """
        outputs, *taps, channels = shape
        sums, places = self.count(channels), outputs * math.prod(taps)
        stored = (places * (channels + sums) + sums * channels) // 2 + _BYTES_OF_SUMS
        if math.prod(taps) > 1:
            stored += _BYTES_OF_PATCHES
        return stored < places * channels


class _Levels:
    """Finds the plans of the tensors that hold levels."""

    def __init__(self, model: Any, graph: Any, plans: Sequence[ComparatorPlan]) -> None:
        self._model, self._plans = model, plans
        self._makers = flatbuffer.producers(graph)

    def plan_of(self, index: int) -> ComparatorPlan | None:
        """Returns the plan whose levels a tensor holds, perhaps padded, pooled or reshaped.

        Returns None if the tensor does not come from a marker.
        """
        maker = self._makers.get(index)
        while maker is not None and self._name(maker) in _KEEPING_LEVELS:
            maker = self._makers.get(int(maker.inputs[0]))
        number = None if maker is None else marker_index(self._model, maker)
        return None if number is None or number >= len(self._plans) else self._plans[number]

    def _name(self, operator: Any) -> str:
        return flatbuffer.operator_name(self._model, operator)


class _Halving:
    """Halves kernels. Layers that read the same tensor share its sums."""

    def __init__(self, model: Any, graph: Any) -> None:
        self._model, self._graph = model, graph
        self._builder = Builder(model, graph, 'channel_sums')
        self._joined: dict[int, int] = {}
        self._ones: dict[tuple[int, ...], int] = {}

    def operators(self, operator: Any, values: np.ndarray, sums: LevelSums) -> list[Any]:
        """Halves the kernel of a layer; returns the operators of the sums and of the layer."""
        run: list[Any] = []
        source = int(operator.inputs[0])
        if source not in self._joined:
            added = self._builder.multiply(run, source, self._sum_kernel(source, sums))
            self._joined[source] = self._builder.concatenate(run, [source, added])
        self._halve_kernel(self._graph.tensors[operator.inputs[1]], values, sums)
        inputs = [self._joined[source], int(operator.inputs[1])]
        if len(operator.inputs) > 2 and operator.inputs[2] >= 0:
            inputs.append(self._half_bias(int(operator.inputs[2])))
        operator.inputs = np.asarray(inputs, np.int32)
        return [*run, operator]

    def _sum_kernel(self, source: int, sums: LevelSums) -> int:
        values = sums.kernel(flatbuffer.shape_of(self._graph.tensors[source])[-1])
        if values.shape not in self._ones:
            self._ones[values.shape] = flatbuffer.add_buffer(self._model, values)
        index = flatbuffer.add_tensor(
            self._graph,
            f'channel_sums_{len(self._graph.tensors)}/ones',
            values.shape,
            schema.TensorType.INT8,
            scale=sums.step / sums.stretch,
            buffer=self._ones[values.shape],
        )
        # XNNPACK takes an INT4 kernel only with a scale per output channel.
        quantization = self._graph.tensors[index].quantization
        quantization.scale = np.repeat(quantization.scale, len(values))
        quantization.zeroPoint = np.zeros(len(values), np.int64)
        return index

    def _halve_kernel(self, kernel: Any, values: np.ndarray, sums: LevelSums) -> None:
        odd = (values & 1).reshape(len(values), -1)[:, 0]
        *axes, channels = values.shape
        weights = np.broadcast_to(
            (odd * np.int8(sums.weight)).reshape(-1, *(1,) * len(axes)),
            (*axes, sums.count(channels)),
        )
        halved = np.concatenate([values >> 1, weights], axis=-1)
        kernel.shape = np.asarray(halved.shape, np.int32)
        kernel.buffer = flatbuffer.add_buffer(self._model, halved)
        kernel.quantization.scale = 2 * flatbuffer.scales_of(kernel)

    def _half_bias(self, index: int) -> int:
        """Adds a halved copy of a bias and returns its index.

        The bias itself stays, because other layers may read it: the converter merges equal
        constants.
        """
        bias = copy.deepcopy(self._graph.tensors[index])
        values = np.frombuffer(flatbuffer.buffer_bytes(self._model, bias), np.int32)
        bias.buffer = flatbuffer.add_buffer(self._model, np.rint(values / 2).astype(np.int32))
        bias.quantization.scale = 2 * flatbuffer.scales_of(bias)
        self._graph.tensors.append(bias)
        return len(self._graph.tensors) - 1


def _can_be_halved(values: np.ndarray) -> bool:
    """Tells whether INT4 can hold the halves of integers, but not the integers themselves.

    The integers of one output channel must also be all odd or all even.
    """
    odd = (values & 1).reshape(len(values), -1)
    return bool(
        not within_four_bits(values) and within_four_bits(values >> 1) and np.all(odd == odd[:, :1])
    )
