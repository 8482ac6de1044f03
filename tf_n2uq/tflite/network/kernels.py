"""Kernels as integers: what a convolution or dense layer multiplies by in the file."""

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

# XNNPACK multiplies the sums of INT4 kernels by 16, in int32.
_MAX_BIAS = 2.0**26
# Steps of the output per unit of the sum, between which XNNPACK requantizes.
_LEAST_REQUANTIZATION = 2.0**-31
_MOST_REQUANTIZATION = 255.0
_STEPS_OF_A_CONSTANT = 2.0**-12
_NUDGE = 2.0**-20
_Name = TypeVar('_Name')


@dataclasses.dataclass
class IntegerKernel:
    """A kernel `integers · unit`, and a bias, both per output channel.

    Attributes:
        integers: int32, the kernel's shape with the output channels last (depthwise kernels:
            `[height, width, channels · multiplier]`).
        unit: float64 `[output channels]`, > 0.
        bias: float64 `[output channels]`.
        bias_units: how many units the bias is a whole number of in the file; 2 for a kernel that a
            pass over the file may halve.
        nudges: how many millionths of a unit the constant of a kernel of zeros is above zero, see
            `told_apart`. They are rounded away.
    """

    integers: np.ndarray
    unit: np.ndarray
    bias: np.ndarray
    bias_units: int = 1
    nudges: int = 0

    @classmethod
    def of(cls, layer: QuantizedKernel, input_factor: float) -> IntegerKernel:
        """Reads a quantized layer.

        Args:
            layer: the wrapper.
            input_factor: what a number of the layer's input in Keras has to be divided by to be
                the number that the file has in its place.
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
        divisor = layer.bias_divisor()
        if divisor is not None:
            unit, bias = unit / float(divisor), bias / float(divisor)
        dead = ~(unit > 0)
        return cls(np.where(dead, 0, integers), np.where(dead, 1.0, unit), bias, layer.bias_units())

    @classmethod
    def of_line(cls, slope: np.ndarray, offset: np.ndarray) -> IntegerKernel:
        """Makes a 1×1 depthwise kernel of ±127 units of a line per channel, exactly.

        Args:
            slope: float64 `[channels]`; where it is 0, so is the kernel.
            offset: float64 `[channels]`.
        """
        dead = slope == 0
        sign = np.where(dead, 0, np.sign(slope)).astype(np.int32)
        unit = np.where(dead, 1.0, np.abs(slope) / 127.0)
        return cls(127 * sign[None, None], unit, offset)

    @classmethod
    def of_average(cls, window: Sequence[int], channels: int) -> IntegerKernel:
        """Makes a depthwise kernel of 127 units that averages full windows, exactly.

        XNNPACK averages floats only, and TFLite's own operator only in the scale of its input.

        Args:
            window: height and width of the window, or its length.
            channels: number of channels.
        """
        height, width = (1, *window)[-2:]
        unit = np.full(channels, 1 / (127.0 * height * width))
        return cls(np.full((height, width, channels), 127), unit, np.zeros(channels))

    @classmethod
    def of_channel_mean(cls, channels: int) -> IntegerKernel:
        """Makes a dense kernel of 127 units that averages channels, exactly."""
        return cls(np.full((channels, 1), 127), np.full(1, 1 / (127.0 * channels)), np.zeros(1))

    def normalized(self, layer: keras.layers.Layer) -> IntegerKernel:
        """Returns the kernel and bias that do the work of a line behind it, see `line_of`, too."""
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
        """The kernel as the constant that goes into the converter, float32."""
        nudged = self.integers + self.nudges * _NUDGE if self.nudges else self.integers
        return (nudged * self.unit.astype(np.float32)).astype(np.float32)

    def with_other_constant(self) -> IntegerKernel:
        """Returns the same integers with a `constant` that differs in the last place."""
        if not self.integers.any():
            return dataclasses.replace(self, nudges=self.nudges + 1)
        unit = np.nextafter(self.unit.astype(np.float32), np.float32(np.inf))
        return dataclasses.replace(self, unit=unit.astype(np.float64))

    def on_grid(self) -> tf.Tensor:
        """Returns the kernel behind a `fake_quant` whose int8 values are exactly the integers."""
        unit = self.unit.astype(np.float32)
        return tf.quantization.fake_quant_with_min_max_vars_per_channel(
            self.constant, -127 * unit, 127 * unit, 8, narrow_range=True
        )

    def bias_constant(self) -> tf.Tensor:
        """Returns the bias, float32."""
        return tf.constant(self.bias.astype(np.float32))

    def representable(self, input_scale: float, output_scale: float) -> IntegerKernel:
        """Returns a kernel that int32 and XNNPACK can compute with.

        Its bias fits int32 in units of `input_scale · unit`: a channel that hardly depends on its
        input (a batch normalization with γ near 0) has a unit so small that its bias overflows;
        there the unit grows, and what the kernel then loses is less than 2^-26 of the bias per
        unit of input.

        And one such unit is less than 256 steps of the output, as XNNPACK demands. Where it is
        more, all but a sum of 0 was out of the output's range anyway, and still is: the bias
        shrinks with the unit.

        A channel without a kernel is its bias, which is rounded to a small part of a step.

        Where the kernel may be halved, both hold for halves too: what has been rounded is even, as
        the bias is.

        Args:
            input_scale: scale of the int8 tensor that the kernel multiplies.
            output_scale: scale of the int8 tensor that the result is written to.
        """
        least = np.maximum(
            np.abs(self.bias) / (input_scale * _MAX_BIAS),
            _LEAST_REQUANTIZATION * output_scale / input_scale,
        )
        no_kernel = ~self.integers.any(axis=tuple(range(self.integers.ndim - 1)))
        fine = _STEPS_OF_A_CONSTANT * output_scale / input_scale
        unit = np.maximum(np.where(no_kernel, fine, self.unit), least)
        wholes = np.rint(self.integers * (self.unit / unit) / self.bias_units) * self.bias_units
        integers = np.where(unit > self.unit, wholes, self.integers).astype(np.int32)
        most = _MOST_REQUANTIZATION / self.bias_units
        counts = np.rint(self.bias / (input_scale * unit * self.bias_units))
        unit = np.minimum(unit, most * output_scale / input_scale)
        bias = counts * input_scale * unit * self.bias_units
        return dataclasses.replace(self, integers=integers, unit=unit, bias=bias)


def told_apart(kernels: dict[_Name, IntegerKernel]) -> dict[_Name, IntegerKernel]:
    """Returns kernels no two of which are equal as constants.

    The converter would merge equal constants and then lose the `fake_quant` behind them. Units
    change in their last place. The unit of a kernel of zeros does not show in its constant: there,
    the zeros become a few millionths of a unit, which the file rounds to zero.

    Args:
        kernels: kernels by name.

    Returns:
        Kernels by the same names.
    """
    seen: set[tuple[bytes, tuple[int, ...]]] = set()
    result: dict[_Name, IntegerKernel] = {}
    for name, kernel in kernels.items():
        while (key := (kernel.constant.tobytes(), kernel.integers.shape)) in seen:
            kernel = kernel.with_other_constant()
        seen.add(key)
        result[name] = kernel
    return result
