"""RPReLUs that write in the range that they read, as integer operators."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import tensorflow as tf

from tf_n2uq.layers import RPReLU
from tf_n2uq.tflite.network.form import IntegerCall
from tf_n2uq.tflite.network.kernels import IntegerKernel
from tf_n2uq.tflite.network.level_tables import LevelTable, level_at
from tf_n2uq.tflite.network.operators import depthwise_1x1
from tf_n2uq.tflite.network.ranges import Range

_INT8 = np.arange(-128, 128)[:, np.newaxis]


@dataclasses.dataclass(frozen=True)
class SameRangeRectifier:
    """An RPReLU between two int8 tensors of one scale and zero point.

    Left of the knee, the function adds a line to its input, which is above 0 there in the channels
    whose slope is less than 1, and below 0 in the others. A 1×1 depthwise convolution computes this
    line. Its output saturates at 0, so that it adds nothing right of the knee. Then the function
    adds whole int8 steps on both sides.

    Attributes:
        steps: the int8 steps that are added, whole numbers, float64 `[channels]`.
        below: the line `(slope − 1) · u + correction` in the channels whose slope is at most 1, and
            0 in the others, as a 1×1 depthwise kernel.
        above: the same line with the other sign in the other channels, and 0 elsewhere.
        range: the scale and zero point of both tensors.
    """

    steps: np.ndarray
    below: IntegerKernel
    above: IntegerKernel
    range: Range

    @classmethod
    def of(cls, call: IntegerCall) -> SameRangeRectifier:
        """Reads the layer of a call.

        Args:
            call: the call of an RPReLU with `same_range`.
        """
        layer: RPReLU = call.layer
        tensor_range = call.sources[0].range
        scale = tf.constant(tensor_range.scale, tf.float64)
        lines = layer.same_range_lines(scale, call.offset_in, call.offset_out)
        correction = np.asarray(lines.correction)
        slope = np.broadcast_to(np.asarray(layer.slope, np.float64) - 1.0, correction.shape)

        def line(sign: float, channels: np.ndarray) -> IntegerKernel:
            kernel = IntegerKernel.of_line(
                np.where(channels, sign * slope, 0.0), np.where(channels, sign * correction, 0.0)
            )
            return kernel.representable(tensor_range.scale, tensor_range.scale)

        return cls(
            steps=np.asarray(lines.steps),
            below=line(1.0, slope <= 0),
            above=line(-1.0, slope > 0),
            range=tensor_range,
        )

    @property
    def adds_steps(self) -> bool:
        """Whether any int8 steps are added right of the knee."""
        return bool(self.steps.any())

    def codes(self, with_left: bool) -> np.ndarray:
        """Returns the int8 value of the output for each value of the input.

        Args:
            with_left: whether the line left of the knee is added.

        Returns:
            int64 `[256, channels]`.
        """
        result = np.broadcast_to(_INT8, (256, len(self.steps)))
        if with_left:
            result = np.clip(result + self._added(self.below), -128, 127)
            result = np.clip(result - self._added(self.above), -128, 127)
        return np.clip(result + self.steps, -128, 127).astype(np.int64)

    def _added(self, line: IntegerKernel) -> np.ndarray:
        bias = np.rint(line.bias / (line.unit * self.range.scale))
        sums = (_INT8 - self.range.zero_point) * line.integers.reshape(-1) + bias
        return np.clip(np.rint(sums * line.unit), 0, 255)


def fold_left(call: IntegerCall, tables: Mapping[str, LevelTable]) -> dict[str, LevelTable] | None:
    """Returns the tables of thresholds that do the work of an RPReLU's left part, too.

    Args:
        call: the call of an RPReLU that nothing but thresholds reads.
        tables: the tables of these thresholds, by the names of their steps.

    Returns:
        The tables if all levels are the same without the left part, or if tables with the left part
        are the same in all channels; None if some channels need a left part of their own.
    """
    rectifier = SameRangeRectifier.of(call)
    whole, right = (rectifier.codes(each) + 128 for each in (True, False))
    levels = {name: level_at(table, whole) for name, table in tables.items()}
    if all((levels[name] == level_at(table, right)).all() for name, table in tables.items()):
        return dict(tables)
    alike = all((each == each[..., :1]).all() for each in levels.values())
    if rectifier.adds_steps or not alike:
        return None
    return {name: dataclasses.replace(tables[name], levels=levels[name]) for name in tables}


class SameRangeForm:
    """An RPReLU that writes in the range that it reads."""

    def kernels(self, call: IntegerCall) -> dict[str, IntegerKernel]:
        """Returns the lines that are added, as far as any is needed."""
        rectifier = SameRangeRectifier.of(call)
        kernels = {}
        if rectifier.adds_steps:
            scale = rectifier.range.scale
            ones = np.ones(len(rectifier.steps))
            right = IntegerKernel.of_line(ones, rectifier.steps * scale)
            kernels['right'] = right.representable(scale, scale)
        for name, line in (('below', rectifier.below), ('above', rectifier.above)):
            if call.left_matters and line.integers.any():
                kernels[name] = line
        return kernels

    def run(
        self, call: IntegerCall, inputs: list[tf.Tensor], kernels: Mapping[str, IntegerKernel]
    ) -> tf.Tensor:
        """Runs the lines and adds them up."""
        tensor_range = call.sources[0].range
        positive = Range(tensor_range.scale, -128)
        result = source = inputs[0]
        if 'below' in kernels:
            added = positive.quantize(depthwise_1x1(source, kernels['below']))
            result = tensor_range.quantize(result + added)
        if 'above' in kernels:
            added = positive.quantize(depthwise_1x1(source, kernels['above']))
            result = tensor_range.quantize(result - added)
        if 'right' in kernels:
            result = tensor_range.quantize(depthwise_1x1(result, kernels['right']))
        return result
