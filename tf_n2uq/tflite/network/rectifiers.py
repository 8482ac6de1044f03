"""PReLUs as integer operators: the maximum or the minimum of two lines per channel."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.layers import RPReLU
from tf_n2uq.tflite.network.form import IntegerCall
from tf_n2uq.tflite.network.kernels import IntegerKernel
from tf_n2uq.tflite.network.line_form import fitted
from tf_n2uq.tflite.network.operators import run_line
from tf_n2uq.tflite.network.ranges import Range

_Line = tuple[np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Rectifier:
    """A function per channel that is one line left of a knee and another right of it.

    XNNPACK has no PRELU for integers, nor a MAXIMUM. What it has are 1×1 depthwise convolutions,
    a line per channel each, and saturation: where `b − a` is written as int8 whose lowest value
    is zero, it is max(b − a, 0), and added to a it gives max(a, b). Taken from a, max(a − b, 0)
    gives min(a, b). All of these have one scale, so nothing is rounded but the lines: the result
    is the rounded function itself.

    Attributes:
        lines: 1×1 depthwise kernels. 'right': the line right of the knee. 'convex': the line left
            of it in channels whose slope is smaller there, the lowest number in the others;
            'concave': in channels whose slope is greater there, the highest number in the others.
            Either is missing if there is no such channel.
        range: scale and zero point of the result.
    """

    lines: dict[str, IntegerKernel]
    range: Range

    @classmethod
    def of(cls, layer: keras.layers.Layer, channels: int, tensor_range: Range) -> Rectifier:
        """Reads an RPReLU, PReLU or leaky ReLU.

        Args:
            layer: a built layer.
            channels: number of channels of what the layer reads.
            tensor_range: what the result is written in.

        Raises:
            ValueError: if the layer has a slope per position, naming it.
        """
        (left_slope, left), (right_slope, right) = _lines_of(layer, channels)
        is_convex = left_slope <= right_slope
        lowest, highest = tensor_range.values()[[0, -1]]
        lines = {'right': IntegerKernel.of_line(right_slope, right)}
        if is_convex.any():
            lines['convex'] = _line_where(is_convex, left_slope, left, lowest)
        if not is_convex.all():
            lines['concave'] = _line_where(~is_convex, left_slope, left, highest)
        return cls(lines, tensor_range)

    def apply(self, inputs: tf.Tensor) -> tf.Tensor:
        """Runs the function.

        Args:
            inputs: `[1, …, channels]`.

        Returns:
            The shape of `inputs`; its range is for the caller to put behind.
        """
        positive = Range(self.range.scale, -128)
        right = result = self.range.quantize(run_line(inputs, self.lines['right']))
        if 'convex' in self.lines:
            left = self.range.quantize(run_line(inputs, self.lines['convex']))
            result = result + positive.quantize(left - right)
        if 'concave' in self.lines:
            left = self.range.quantize(run_line(inputs, self.lines['concave']))
            result = self.range.quantize(result) - positive.quantize(right - left)
        return result


class RectifierForm:
    """An RPReLU, PReLU or leaky ReLU that is no part of a quantizer's thresholds."""

    def kernels(self, call: IntegerCall) -> dict[str, IntegerKernel]:
        """Returns the lines of the function."""
        rectifier = Rectifier.of(call.layer, call.channels, call.written())
        return {name: fitted(line, call) for name, line in rectifier.lines.items()}

    def run(
        self, call: IntegerCall, inputs: list[tf.Tensor], kernels: Mapping[str, IntegerKernel]
    ) -> tf.Tensor:
        """Runs the lines, and takes the maximum or the minimum of them."""
        return Rectifier(dict(kernels), call.written()).apply(inputs[0])


def _line_where(
    channels: np.ndarray, slope: np.ndarray, offset: np.ndarray, elsewhere: float
) -> IntegerKernel:
    return IntegerKernel.of_line(
        np.where(channels, slope, 0.0), np.where(channels, offset, elsewhere)
    )


def _lines_of(layer: keras.layers.Layer, channels: int) -> tuple[_Line, _Line]:
    """Slopes and offsets per channel, float64, left of the knee and right of it."""
    if isinstance(layer, RPReLU):
        slope, knee, offset = (
            np.asarray(weight, np.float64)
            for weight in (layer.slope, layer.bias_in, layer.bias_out)
        )
        return (slope, slope * knee + offset), (np.ones_like(slope), knee + offset)
    slope = np.atleast_1d(np.asarray(_negative_slope(layer), np.float64))
    if slope.size != slope.shape[-1]:
        raise ValueError(
            f'model: layer {layer.name!r} has a slope per position, of shape {slope.shape}, and '
            'is not only read by quantizers; expected one slope per channel, as '
            'PReLU(shared_axes=[1, 2]) has.'
        )
    slope = np.broadcast_to(slope.reshape(-1), [channels])
    zero = np.zeros_like(slope)
    return (slope, zero), (np.ones_like(slope), zero)


def _negative_slope(layer: keras.layers.Layer) -> Any:
    if isinstance(layer, keras.layers.ReLU):
        return layer.negative_slope
    # Keras' function of this name has this slope.
    return getattr(layer, 'alpha', 0.2)
