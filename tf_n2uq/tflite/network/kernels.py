"""Kernels of convolutions and dense layers, as the integers of the file."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.layers import QuantizedKernel
from tf_n2uq.layers.layer_spec import line_of

# The largest bias in units of the sum. XNNPACK multiplies the sums of INT4 kernels by 16, in int32.
_LARGEST_BIAS = 2.0**26
# XNNPACK requantizes if one unit of the sum is between so many steps of the output.
_LEAST_REQUANTIZATION = 2.0**-31
_GREATEST_REQUANTIZATION = 255.0
# The bias of a channel without a kernel is rounded to this part of a step of the output.
_BIAS_PART_WITHOUT_KERNEL = 2.0**-12
# The integers among which a line chooses the one that its offset fits best. An offset within this
# part of a unit of the sum is as good as exact.
_LINE_INTEGERS = np.arange(127, 63, -1)
_EXACT_OFFSET = 1e-3
# The part of a unit that the constant of a kernel of zeros moves by, see `with_distinct_constants`.
_NUDGE = 2.0**-20
_Name = TypeVar('_Name')


@dataclasses.dataclass
class IntegerKernel:
    """A kernel `integers · unit` and a bias, each with a number per output channel.

    Attributes:
        integers: int32, in the shape of the kernel with the output channels last. A depthwise
            kernel is `[height, width, channels · multiplier]`.
        unit: float64 `[output channels]`, > 0: the scale of the kernel.
        bias: float64 `[output channels]`.
        bias_units: the bias is a whole multiple of so many units of the sum in the file.
        may_be_halved: whether a pass over the file may halve the kernel.
        spread: the number of int8 steps of the input that Keras counts as one. The bias is a whole
            multiple of `bias_units` times this number.
        nudges: the number of times that the constant of a kernel of zeros is moved by about a
            millionth of a unit, see `with_distinct_constants`. The file rounds it to zero.
    """

    integers: np.ndarray
    unit: np.ndarray
    bias: np.ndarray
    bias_units: int = 1
    may_be_halved: bool = False
    spread: int = 1
    nudges: int = 0

    @classmethod
    def of(cls, layer: QuantizedKernel, input_factor: float, use: int = 0) -> IntegerKernel:
        """Reads the kernel and bias of a quantized layer.

        Args:
            layer: the wrapper of the layer.
            input_factor: the quotient of a number of the layer's input in Keras and the number
                that the file has in its place, see `Source`.
            use: the number of the layer's call.
        """
        ((attribute, quantizer, weights),) = layer.kernel_quantizers
        kernel = np.asarray(getattr(layer.layer, attribute), np.float32)
        integers, unit = (np.asarray(part) for part in quantizer.integers(kernel, weights))
        if isinstance(layer.layer, keras.layers.Conv2DTranspose):
            integers = integers.swapaxes(-1, -2)
        channels = integers.shape[-1]
        if attribute == 'depthwise_kernel':
            channels *= integers.shape[-2]
            integers = integers.reshape(*integers.shape[:-2], channels)
        unit = np.broadcast_to(unit.astype(np.float64).reshape(-1), [channels]) * input_factor
        bias = getattr(layer.layer, 'bias', None)
        bias = np.zeros(channels) if bias is None else np.asarray(bias, np.float64)
        divisor = layer.bias_divisor(use)
        if divisor is not None:
            unit, bias = unit / float(divisor), bias / float(divisor)
        dead = ~(unit > 0)
        return cls(
            np.where(dead, 0, integers),
            np.where(dead, 1.0, unit),
            bias,
            layer.bias_units(use),
            layer.may_be_halved(),
        )

    @classmethod
    def of_line(cls, slope: np.ndarray, offset: np.ndarray) -> IntegerKernel:
        """Makes the 1×1 depthwise kernel that computes a line per channel exactly.

        Its integers are ±127, or 0 where the slope is 0.

        Args:
            slope: float64 `[channels]`: the slope of each line.
            offset: float64 `[channels]`: the offset of each line.
        """
        dead = slope == 0
        sign = np.where(dead, 0, np.sign(slope)).astype(np.int32)
        unit = np.where(dead, 1.0, np.abs(slope) / 127.0)
        return cls(127 * sign[None, None], unit, offset)

    @classmethod
    def of_unrounded_line(
        cls, slope: np.ndarray, offset: np.ndarray, input_scale: float
    ) -> IntegerKernel:
        """Makes the 1×1 depthwise kernel of a line whose offset Keras does not round.

        The file rounds an offset to units of the sum. With the integer 127 everywhere, a steep line
        would move by up to a hundredth of a step, and as many values would be rounded to the
        other side. Among the integers from 64 to 127, one nearly always makes the offset a
        multiple of the unit.

        Args:
            slope: float64 `[channels]`: the slope of each line.
            offset: float64 `[channels]`: the offset of each line.
            input_scale: the scale of the int8 tensor that the kernel multiplies.
        """
        kernel = cls.of_line(slope, offset)
        units = kernel.unit * 127.0 / _LINE_INTEGERS[:, np.newaxis]
        counts = offset / (units * input_scale)
        errors = np.abs(counts - np.rint(counts))
        # The first of several that are exact is the greatest, and 127 for an offset of 0.
        best = np.argmin(np.where(errors < _EXACT_OFFSET, 0.0, errors * units), axis=0)
        dead = slope == 0
        integers = np.where(dead, 0, np.sign(slope) * _LINE_INTEGERS[best]).astype(np.int32)
        unit = np.where(dead, kernel.unit, units[best, np.arange(len(best))])
        return cls(integers[None, None], unit, offset)

    @classmethod
    def of_average(cls, window: Sequence[int], channels: int) -> IntegerKernel:
        """Makes the depthwise kernel that averages full windows exactly.

        Its integers are all 127. A pooling operator would not do: XNNPACK averages windows of
        floats only, and TFLite's own operator writes only in the scale of its input.

        Args:
            window: the height and width of the window, or its length.
            channels: the number of channels.
        """
        height, width = (1, *window)[-2:]
        unit = np.full(channels, 1 / (127.0 * height * width))
        return cls(np.full((height, width, channels), 127), unit, np.zeros(channels))

    @classmethod
    def of_channel_mean(cls, channels: int) -> IntegerKernel:
        """Makes the dense kernel that averages channels exactly; its integers are all 127."""
        return cls(np.full((channels, 1), 127), np.full(1, 1 / (127.0 * channels)), np.zeros(1))

    def normalized(self, layer: keras.layers.Layer) -> IntegerKernel:
        """Returns a kernel and bias that also compute the line behind this kernel.

        Args:
            layer: the layer behind the kernel, whose slope and offset `line_of` gives.
        """
        channels = self.unit.shape
        slope, offset = (np.broadcast_to(part, channels) for part in line_of(layer))
        dead = slope == 0
        sign = np.where(dead, 0, np.sign(slope)).astype(self.integers.dtype)
        return dataclasses.replace(
            self,
            integers=self.integers * sign,
            unit=np.where(dead, 1.0, self.unit * np.abs(slope)),
            bias=self.bias * slope + offset,
        )

    @functools.cached_property
    def constant(self) -> np.ndarray:
        """The constant of the kernel that the converter reads, float32 in the kernel's shape."""
        nudged = self.integers + self.nudges * _NUDGE if self.nudges else self.integers
        return (nudged * self.unit.astype(np.float32)).astype(np.float32)

    def with_other_constant(self) -> IntegerKernel:
        """Returns a kernel of the same integers whose `constant` differs in the last place."""
        if not self.integers.any():
            return dataclasses.replace(self, nudges=self.nudges + 1)
        unit = np.nextafter(self.unit.astype(np.float32), np.float32(np.inf))
        return dataclasses.replace(self, unit=unit.astype(np.float64))

    def on_grid(self) -> tf.Tensor:
        """Returns the kernel behind the `fake_quant` whose int8 values are the integers."""
        unit = self.unit.astype(np.float32)
        return tf.quantization.fake_quant_with_min_max_vars_per_channel(
            self.constant, -127 * unit, 127 * unit, 8, narrow_range=True
        )

    def bias_constant(self) -> tf.Tensor:
        """Returns the bias as a constant, float32 `[output channels]`."""
        return tf.constant(self.bias.astype(np.float32))

    def representable(self, input_scale: float, output_scale: float) -> IntegerKernel:
        """Returns a kernel that XNNPACK can compute with in int32.

        The file counts sums and biases in units of `input_scale · unit`. Two things are changed
        where they have to be:

        - The bias has to fit int32. A channel that hardly depends on its input, as behind a batch
          normalization with γ near 0, has such a small unit that its bias would overflow. The unit
          grows there, and the integers of the kernel are rounded. The error is less than 2^-26 of
          the bias per unit of the input.
        - A unit of the sum has to be less than 256 steps of the output, as XNNPACK demands. A
          larger unit shrinks, and the bias shrinks with it. All sums but 0 are out of the range of
          the output before and after this change.

        A channel without a kernel consists of its bias, which is rounded to a small part of a step
        of the output. If the kernel may be halved, both conditions hold for its half too. Rounded
        integers and the bias are even then.

        Args:
            input_scale: the scale of the int8 tensor that the kernel multiplies.
            output_scale: the scale of the int8 tensor that the result is written to.
        """
        least = np.maximum(
            np.abs(self.bias) / (input_scale * _LARGEST_BIAS),
            _LEAST_REQUANTIZATION * output_scale / input_scale,
        )
        no_kernel = ~self.integers.any(axis=tuple(range(self.integers.ndim - 1)))
        fine = _BIAS_PART_WITHOUT_KERNEL * output_scale / input_scale
        unit = np.maximum(np.where(no_kernel, fine, self.unit), least)
        divisor = 2 if self.may_be_halved else 1
        wholes = np.rint(self.integers * (self.unit / unit) / divisor) * divisor
        integers = np.where(unit > self.unit, wholes, self.integers).astype(np.int32)
        most = _GREATEST_REQUANTIZATION / divisor
        grid = input_scale * self.bias_units * self.spread
        counts = np.rint(self.bias / (grid * unit))
        unit = np.minimum(unit, most * output_scale / input_scale)
        bias = counts * grid * unit
        return dataclasses.replace(self, integers=integers, unit=unit, bias=bias)


def with_distinct_constants(kernels: dict[_Name, IntegerKernel]) -> dict[_Name, IntegerKernel]:
    """Returns kernels of the same integers whose constants are all different.

    The converter would merge equal constants and then lose the `fake_quant` behind them. So the
    unit of one of two equal kernels changes in its last place. The constant of a kernel of zeros
    does not depend on its unit. Its zeros become a few millionths of a unit, which the file rounds
    to zero.

    Args:
        kernels: the kernels, by name.

    Returns:
        The kernels, by the same names.
    """
    seen: set[tuple[bytes, tuple[int, ...]]] = set()
    result: dict[_Name, IntegerKernel] = {}
    for name, kernel in kernels.items():
        while (key := (kernel.constant.tobytes(), kernel.integers.shape)) in seen:
            kernel = kernel.with_other_constant()
        seen.add(key)
        result[name] = kernel
    return result
