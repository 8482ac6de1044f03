"""PReLUs as integer operators: the maximum or the minimum of two lines in each channel."""

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
from tf_n2uq.tflite.network.operators import depthwise_1x1
from tf_n2uq.tflite.network.ranges import Range

_Line = tuple[np.ndarray, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Rectifier:
    """A function per channel that is one line left of a knee and another line right of it.

    XNNPACK has neither a PRELU nor a MAXIMUM of integers. But it has 1×1 depthwise convolutions,
    which compute a line per channel, and int8 tensors that saturate. If `b − a` is written to an
    int8 tensor whose lowest value stands for 0, the tensor holds max(b − a, 0). Added to a, this is
    max(a, b). In the same way, a minus max(a − b, 0) is min(a, b). All of these tensors have one
    scale, so only the lines are rounded, and the result is the rounded function itself.

    Attributes:
        lines: 1×1 depthwise kernels. 'right' is the line right of the knee. 'convex' is the line
            left of the knee in the channels where its slope is the smaller one, and the lowest
            number in the others. 'concave' is the line left of the knee in the channels where its
            slope is the greater one, and the highest number in the others. 'convex' or 'concave'
            is missing if there is no such channel.
        range: the scale and zero point of the result.
    """

    lines: dict[str, IntegerKernel]
    range: Range

    @classmethod
    def of(cls, layer: keras.layers.Layer, channels: int, tensor_range: Range) -> Rectifier:
        """Reads an RPReLU, PReLU or leaky ReLU.

        Args:
            layer: a built layer.
            channels: the number of channels of the tensor that the layer reads.
            tensor_range: the scale and zero point of the result.

        Raises:
            ValueError: if the layer has a slope per position. The message names it.
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
            inputs: `[batch, …, channels]`.

        Returns:
            A float32 tensor in the shape of `inputs`. The caller puts the range behind it.
        """
        positive = Range(self.range.scale, -128)
        right = result = self.range.quantize(depthwise_1x1(inputs, self.lines['right']))
        if 'convex' in self.lines:
            left = self.range.quantize(depthwise_1x1(inputs, self.lines['convex']))
            result = result + positive.quantize(left - right)
        if 'concave' in self.lines:
            left = self.range.quantize(depthwise_1x1(inputs, self.lines['concave']))
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
        """Runs the lines and computes their maximum or minimum."""
        return Rectifier(dict(kernels), call.written()).apply(inputs[0])


def _line_where(
    channels: np.ndarray, slope: np.ndarray, offset: np.ndarray, elsewhere: float
) -> IntegerKernel:
    return IntegerKernel.of_line(
        np.where(channels, slope, 0.0), np.where(channels, offset, elsewhere)
    )


def _lines_of(layer: keras.layers.Layer, channels: int) -> tuple[_Line, _Line]:
    """Returns slope and offset of the lines left and right of the knee, float64 `[channels]`."""
    if isinstance(layer, RPReLU):
        slope, knee, offset = (
            np.broadcast_to(np.asarray(weight, np.float64), [channels])
            for weight in (layer.slope, layer.bias_in, layer.bias_out)
        )
        return (slope, slope * knee + offset), (np.ones_like(slope), knee + offset)
    slope = np.atleast_1d(np.asarray(_negative_slope(layer), np.float64))
    if slope.size != slope.shape[-1]:
        raise ValueError(
            f'model: expected one slope per channel in layer {layer.name!r}, as not only '
            f'quantizers read its output, got a slope per position, of shape {slope.shape}. Use '
            'PReLU(shared_axes=[1, 2]).'
        )
    slope = np.broadcast_to(slope.reshape(-1), [channels])
    zero = np.zeros_like(slope)
    return (slope, zero), (np.ones_like(slope), zero)


def _negative_slope(layer: keras.layers.Layer) -> Any:
    if isinstance(layer, keras.layers.ReLU):
        return layer.negative_slope
    # The Keras function `leaky_relu` has no attribute, but always this slope.
    return getattr(layer, 'alpha', 0.2)
