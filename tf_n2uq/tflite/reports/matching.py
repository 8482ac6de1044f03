"""The pairs of a quantizer of a Keras model and the tensor of the file that it became."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Any

import numpy as np

from tf_n2uq.graph.decisions import Decisions, decide
from tf_n2uq.graph.graph import Graph, Step
from tf_n2uq.graph.offsets import offset_of
from tf_n2uq.tflite.levels.comparators import INT8_STEPS
from tf_n2uq.tflite.network.ranges import Range
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.table_lowering import written_chain

# The converter computes a scale from the ends of its range in float32, so that scales differ by a
# relative error of this size.
_SCALE_TOLERANCE = 1e-4


@dataclasses.dataclass(frozen=True)
class Match:
    """A quantizer of the Keras model and the tensor of the file that it became.

    Both hold the same levels, once as float numbers and once as int8 values.

    Attributes:
        step: The quantizer.
        index: The index of the tensor.
        levels: The number of levels.
        unit: The difference between two neighbouring levels in Keras.
        shift: The level of the number 0 in Keras.
        zero: The int8 value of level 0.
        stretch: The number of int8 steps from one level to the next.
        offset: What the int8 tensor holds beside the numbers of Keras, float64 `[channels]` or
            `[]`.
    """

    step: Step
    index: int
    levels: int
    unit: float
    shift: int
    zero: int
    stretch: int
    offset: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros([]))

    def keras_levels(self, outputs: np.ndarray) -> np.ndarray:
        """Returns the levels of the quantizer's outputs, int64, in the same shape."""
        numbers = np.asarray(outputs, np.float64) + self.offset
        return np.rint(numbers / self.unit).astype(np.int64) + self.shift

    def file_levels(self, tensor: np.ndarray) -> np.ndarray:
        """Returns the levels of the int8 values of the tensor, int64, in the same shape."""
        return np.rint((tensor.astype(np.int64) - self.zero) / self.stretch).astype(np.int64)


def match(graph: Graph, file: Any) -> tuple[list[Match], list[str]]:
    """Finds the quantizers of a Keras model in the file.

    Args:
        graph: The graph of the model, whose layers are built and have their weights.
        file: A `ModelT`.

    Returns:
        The quantizers that are found, in the order in which the file computes their tensors, and
        the names of the quantizers that are not found. Thresholds are found by name. Ranges are
        found by their scale, their zero point and the name of a layer that the tensor's operator
        computes.
    """
    tensors = _Tensors(file)
    found: list[Match] = []
    missing: list[str] = []
    decisions = decide(graph)
    quantizers = {*decisions.thresholds, *decisions.ranges}
    for step in (step for step in graph.in_order() if step.name in quantizers):
        if step.name in decisions.thresholds and step.name not in decisions.level_writers:
            matched = _levels(graph, step, tensors)
        else:
            matched = _range(graph, decisions, step, tensors)
        if matched is None:
            missing.append(step.name)
        else:
            found.append(matched)
    return sorted(found, key=lambda each: tensors.order[each.index]), missing


class _Tensors:
    """The computed tensors of a file that are int8 and have one scale.

    Attributes:
        order: For each index of a tensor, the number of the operator that computes the tensor.
    """

    def __init__(self, file: Any) -> None:
        self._file, self._tensors = file, flatbuffer.main_graph(file).tensors
        self._makers = flatbuffer.producers(flatbuffer.main_graph(file))
        inputs = flatbuffer.main_graph(file).inputs
        self._batch = int(flatbuffer.shape_of(self._tensors[inputs[0]])[0])
        self.order: dict[int, int] = {}
        self._indices: dict[str, int] = {}
        for number, operator in enumerate(flatbuffer.main_graph(file).operators):
            for index in map(int, operator.outputs):
                tensor = self._tensors[index]
                one_scale = len(flatbuffer.scales_of(tensor)) == 1
                if flatbuffer.type_name(tensor) == 'INT8' and one_scale:
                    self.order[index] = number
                    self._indices[flatbuffer.text(tensor.name)] = index

    def named(self, pattern: str, size: int) -> list[int]:
        """Returns the tensors of a size with a matching name, in the order of execution.

        The converter chains the names of layers that it fuses. One of them has to match. The size
        is of an image. A tensor may have images and rows on one axis.
        """
        return [
            index
            for name, index in self._indices.items()
            if any(re.match(pattern, part) for part in name.split(';'))
            and int(np.prod(flatbuffer.shape_of(self._tensors[index]))) == size * self._batch
        ]

    def scopes(self, index: int) -> set[str]:
        """Returns the names of the layers that a tensor has in its own name."""
        name = flatbuffer.text(self._tensors[index].name)
        return {part.split('/')[0] for part in name.split(';')}

    def scale(self, index: int) -> float:
        return float(flatbuffer.scales_of(self._tensors[index])[0])

    def zero_point(self, index: int) -> int:
        return flatbuffer.zero_point_of(self._tensors[index])

    def level_scale(self, index: int) -> float | None:
        """Returns the scale of one level of a tensor, or None if no thresholds make it.

        The scale of a sum of comparators follows from one of its terms.
        """
        graph = flatbuffer.main_graph(self._file)
        chain = written_chain(self._file, graph, self._makers[index], self._makers)
        if chain is not None:
            return chain.level_scale
        name = flatbuffer.text(self._tensors[index].name)
        # A level of a ramp is one step of the ramp's tensor. A comparator steps through 255 steps.
        for term, steps in (('ramp_0', 1), ('above_0', INT8_STEPS), ('below_0', INT8_STEPS)):
            if f'{name}/{term}' in self._indices:
                return steps * self.scale(self._indices[f'{name}/{term}'])
        return None


def _levels(graph: Graph, step: Step, tensors: _Tensors) -> Match | None:
    for index in tensors.named(f'{re.escape(step.name)}/LeakyRelu[^/]*$', _size(graph, step)):
        level = tensors.level_scale(index)
        if level is None:
            continue
        stretch = round(level / tensors.scale(index))
        quantizer = step.layer.quantizer
        unit = abs(float(quantizer.step(step.layer.quantizer_weights)))
        if stretch >= 1 and unit > 0:
            zero = tensors.zero_point(index)
            return Match(step, index, 2**quantizer.bits, unit, 0, zero, stretch)
    return None


def _range(graph: Graph, decisions: Decisions, step: Step, tensors: _Tensors) -> Match | None:
    is_written = step.name in decisions.level_writers
    expected = Range.of_levels(step) if is_written else Range.of(step)
    makers = _makers(graph, decisions, step)
    others = set(graph.steps) - set(makers)
    found = tensors.named(f'({"|".join(map(re.escape, makers))})/', _size(graph, step))
    # Layers behind the range that only move its numbers have its name, too, but also their own.
    moved = [index for index in found if tensors.scopes(index) & others]
    # Several operators with one scale may compute a layer. The last one gives its result.
    for index in [*reversed([each for each in found if each not in moved]), *reversed(moved)]:
        off = abs(tensors.scale(index) - expected.scale)
        same_zero = tensors.zero_point(index) == expected.zero_point
        if same_zero and off <= _SCALE_TOLERANCE * expected.scale:
            offset = offset_of(graph, step.output)
            zero = expected.zero_point
            if is_written:
                return Match(step, index, 2**step.layer.quantizer.bits, expected.scale, 0, zero, 1)
            return Match(step, index, 256, expected.scale, zero, 0, 1, offset)
    return None


def _makers(graph: Graph, decisions: Decisions, step: Step) -> list[str]:
    """Returns the names of a range and of the layers whose common operator writes it."""
    return [step.name, *(maker.name for maker in decisions.steps_of_range(graph, step.name))]


def _size(graph: Graph, step: Step) -> int:
    return math.prod(size or 0 for size in graph.shape(step.output)[1:])
