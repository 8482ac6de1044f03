"""Kernels as integers: what a convolution or dense layer multiplies by in the file."""

from __future__ import annotations

import dataclasses

import numpy as np
import tf_keras as keras

from tf_n2uq.layers import QuantizedKernel

_MAX_BIAS = 2.0**30
# Steps of the output per unit of the sum, between which XNNPACK requantizes.
_LEAST_REQUANTIZATION = 2.0**-31
_MOST_REQUANTIZATION = 255.0


@dataclasses.dataclass
class IntegerKernel:
    """A kernel `integers · unit`, and a bias, both per output channel.

    Attributes:
        integers: int32, the kernel's shape with the output channels last (depthwise kernels:
            `[height, width, channels · multiplier]`).
        unit: float64 `[output channels]`, > 0.
        bias: float64 `[output channels]`.
    """

    integers: np.ndarray
    unit: np.ndarray
    bias: np.ndarray

    @classmethod
    def of(cls, layer: QuantizedKernel, input_factor: float) -> IntegerKernel:
        """Reads a quantized layer.

        Args:
            layer: the wrapper.
            input_factor: what a number of the layer's input in Keras has to be divided by to be
                the number that the file has in its place.
        """
        ((attribute, quantizer, _),) = layer.kernel_quantizers
        kernel = np.asarray(getattr(layer.layer, attribute), np.float32)
        integers, unit = (np.asarray(part) for part in quantizer.integers(kernel))
        channels = integers.shape[-1]
        if attribute == 'depthwise_kernel':
            channels *= integers.shape[-2]
            integers = integers.reshape(*integers.shape[:2], channels)
        unit = np.broadcast_to(unit.astype(np.float64).reshape(-1), [channels]) * input_factor
        bias = getattr(layer.layer, 'bias', None)
        bias = np.zeros(channels) if bias is None else np.asarray(bias, np.float64)
        dead = ~(unit > 0)
        return cls(np.where(dead, 0, integers), np.where(dead, 1.0, unit), bias)

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
    def of_normalization(cls, layer: keras.layers.BatchNormalization) -> IntegerKernel:
        """Reads a batch normalization as a 1×1 depthwise kernel of ±127 units, exactly."""
        return cls.of_line(*affine_of(layer))

    @classmethod
    def of_average(cls, layer: keras.layers.AveragePooling2D) -> IntegerKernel:
        """Reads an average over full windows as a depthwise kernel of 127 units, exactly.

        XNNPACK averages floats only, and TFLite's own operator only in the scale of its input.
        """
        height, width = layer.pool_size
        channels = layer.input_shape[-1]
        unit = np.full(channels, 1 / (127.0 * height * width))
        return cls(np.full((height, width, channels), 127), unit, np.zeros(channels))

    def normalized(self, layer: keras.layers.BatchNormalization) -> IntegerKernel:
        """Returns the kernel and bias that do the work of a batch normalization too."""
        slope, offset = affine_of(layer)
        dead = slope == 0
        sign = np.where(dead, 0, np.sign(slope)).astype(self.integers.dtype)
        return IntegerKernel(
            self.integers * sign,
            np.where(dead, 1.0, self.unit * np.abs(slope)),
            self.bias * slope + offset,
        )

    def representable(self, input_scale: float, output_scale: float) -> IntegerKernel:
        """Returns a kernel that int32 and XNNPACK can compute with.

        Its bias fits int32 in units of `input_scale · unit`: a channel that hardly depends on its
        input (a batch normalization with γ near 0) has a unit so small that its bias overflows;
        there the unit grows, and what the kernel then loses is less than 2^-30 of the bias per
        unit of input.

        And one such unit is less than 256 steps of the output, as XNNPACK demands. Where it is
        more, all but a sum of 0 was out of the output's range anyway, and still is.

        Args:
            input_scale: scale of the int8 tensor that the kernel multiplies.
            output_scale: scale of the int8 tensor that the result is written to.
        """
        least = np.maximum(
            np.abs(self.bias) / (input_scale * _MAX_BIAS),
            _LEAST_REQUANTIZATION * output_scale / input_scale,
        )
        unit = np.maximum(self.unit, least)
        integers = np.rint(self.integers * (self.unit / unit)).astype(np.int32)
        unit = np.minimum(unit, _MOST_REQUANTIZATION * output_scale / input_scale)
        return IntegerKernel(integers, unit, self.bias)


def told_apart(kernels: dict[str, IntegerKernel]) -> dict[str, IntegerKernel]:
    """Returns kernels no two of which are equal, by changes in the last place of their units.

    The converter would merge equal constants and then lose the `fake_quant` behind them.
    """
    seen: set[tuple[bytes, tuple[int, ...]]] = set()
    result: dict[str, IntegerKernel] = {}
    for name, kernel in kernels.items():
        unit = kernel.unit.astype(np.float32)
        while (key := ((kernel.integers * unit).tobytes(), kernel.integers.shape)) in seen:
            unit = np.nextafter(unit, np.float32(np.inf))
        seen.add(key)
        result[name] = dataclasses.replace(kernel, unit=unit.astype(np.float64))
    return result


def affine_of(layer: keras.layers.BatchNormalization) -> tuple[np.ndarray, np.ndarray]:
    """Returns slope and offset per channel, float64, of a batch normalization at inference."""
    mean = np.asarray(layer.moving_mean, np.float64)
    slope = 1.0 / np.sqrt(np.asarray(layer.moving_variance, np.float64) + layer.epsilon)
    if layer.gamma is not None:
        slope = slope * np.asarray(layer.gamma, np.float64)
    offset = -mean * slope
    if layer.beta is not None:
        offset = offset + np.asarray(layer.beta, np.float64)
    return slope, offset
