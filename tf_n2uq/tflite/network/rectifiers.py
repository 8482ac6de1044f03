"""PReLUs as integer operators: the maximum or the minimum of two lines per channel."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.graph.graph import Graph, Step
from tf_n2uq.graph.layer_kinds import function_name
from tf_n2uq.layers import RPReLU
from tf_n2uq.schemes.rewrite.range_placement import folds_into_thresholds
from tf_n2uq.tflite.network.kernels import IntegerKernel
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
    def of(cls, layer: keras.layers.Layer, tensor_range: Range) -> Rectifier:
        """Reads an RPReLU, PReLU or leaky ReLU.

        Args:
            layer: a built layer.
            tensor_range: what the result is written in.

        Raises:
            ValueError: if the layer has a slope per position, naming it.
        """
        (left_slope, left), (right_slope, right) = _lines_of(layer)
        is_convex = left_slope <= right_slope
        lowest, highest = tensor_range.values()[[0, -1]]
        lines = {'right': IntegerKernel.of_line(right_slope, right)}
        if is_convex.any():
            lines['convex'] = _line_where(is_convex, left_slope, left, lowest)
        if not is_convex.all():
            lines['concave'] = _line_where(~is_convex, left_slope, left, highest)
        return cls(lines, tensor_range)

    def apply(self, line: Callable[[str], tf.Tensor]) -> tf.Tensor:
        """Runs the function.

        Args:
            line: runs the depthwise kernel of a name in `lines` on the input.

        Returns:
            The result, `[1, height, width, channels]`; its range is for the caller to put behind.
        """
        positive = Range(self.range.scale, -128)
        right = result = self.range.quantize(line('right'))
        if 'convex' in self.lines:
            left = self.range.quantize(line('convex'))
            result = result + positive.quantize(left - right)
        if 'concave' in self.lines:
            left = self.range.quantize(line('concave'))
            result = self.range.quantize(result) - positive.quantize(right - left)
        return result


def needs_rectifier(graph: Graph, step: Step) -> bool:
    """Tells whether a step is a PReLU that is no part of a quantizer's comparators."""
    return is_rectifier(step.layer) and not folds_into_thresholds(graph, step)


def is_rectifier(layer: keras.layers.Layer) -> bool:
    """Tells whether a layer is one line left of a knee and another right of it, per channel."""
    if type(layer) is keras.layers.ReLU:
        no_bounds = layer.max_value is None and not layer.threshold
        return bool(layer.negative_slope) and no_bounds
    known = (RPReLU, keras.layers.PReLU, keras.layers.LeakyReLU)
    return type(layer) in known or function_name(layer) == 'leaky_relu'


def _line_where(
    channels: np.ndarray, slope: np.ndarray, offset: np.ndarray, elsewhere: float
) -> IntegerKernel:
    return IntegerKernel.of_line(
        np.where(channels, slope, 0.0), np.where(channels, offset, elsewhere)
    )


def _lines_of(layer: keras.layers.Layer) -> tuple[_Line, _Line]:
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
    slope = np.broadcast_to(slope.reshape(-1), [layer.input_shape[-1]])
    zero = np.zeros_like(slope)
    return (slope, zero), (np.ones_like(slope), zero)


def _negative_slope(layer: keras.layers.Layer) -> Any:
    if isinstance(layer, keras.layers.ReLU):
        return layer.negative_slope
    # Keras' function of this name has this slope.
    return getattr(layer, 'alpha', 0.2)
