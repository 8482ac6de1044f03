"""Convolutions with kernels of few bits as FULLY_CONNECTED over patches.

XNNPACK computes with INT2 and INT4 kernels in FULLY_CONNECTED, but it leaves a CONV_2D that has
such a kernel to slower operators outside of its partition. So this module writes out the two parts
of a convolution: STRIDED_SLICE and CONCATENATION gather the patch of each output pixel, and
FULLY_CONNECTED multiplies it. Integers, sums and rounding stay the same, and so do the results, to
the bit.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from tf_n2uq._compat.tflite_schema import schema
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.builder import Builder


@dataclasses.dataclass(frozen=True)
class Axis:
    """One spatial axis of a convolution.

    Attributes:
        taps: The size of the kernel.
        stride: The stride.
        dilation: The distance between two neighbouring taps.
        size: The size of the output.
        before: The number of zeros in front of the input.
        behind: The number of zeros behind the input. With them, the size of the input is a multiple
            of the stride.
        padded: The size of the input with the zeros before and behind it.
    """

    taps: int
    stride: int
    dilation: int
    size: int
    before: int
    behind: int
    padded: int

    @classmethod
    def of(cls, taps: int, stride: int, dilation: int, size: int, outputs: int, same: bool) -> Axis:
        """Describes an axis.

        Args:
            taps: The size of the kernel.
            stride: The stride.
            dilation: The distance between two neighbouring taps.
            size: The size of the input.
            outputs: The size of the output.
            same: Whether the convolution pads its input with zeros.
        """
        reach = (outputs - 1) * stride + (taps - 1) * dilation + 1
        before = max(reach - size, 0) // 2 if same else 0
        last = (taps - 1) * dilation // stride + outputs
        needed = max(before + size, reach, last * stride)
        padded = -(-needed // stride) * stride
        return cls(taps, stride, dilation, outputs, before, padded - before - size, padded)

    def position(self, tap: int) -> tuple[int, int]:
        """Returns where a tap begins: a number of whole strides, and the pixels beyond them."""
        return divmod(tap * self.dilation, self.stride)


@dataclasses.dataclass(frozen=True)
class Patches:
    """The patches that a convolution multiplies, one for each pixel of its output.

    Attributes:
        y: The axis of the rows.
        x: The axis of the columns.
    """

    y: Axis
    x: Axis

    @classmethod
    def of(cls, graph: Any, operator: Any) -> Patches:
        """Describes the patches of a CONV_2D."""
        source, kernel, output = (
            flatbuffer.shape_of(graph.tensors[index])
            for index in (operator.inputs[0], operator.inputs[1], operator.outputs[0])
        )
        options = operator.builtinOptions
        same = options.padding == schema.Padding.SAME
        strides = options.strideH, options.strideW
        dilations = options.dilationHFactor, options.dilationWFactor
        y, x = (
            Axis.of(kernel[i + 1], strides[i], dilations[i], source[i + 1], output[i + 1], same)
            for i in range(2)
        )
        return cls(y, x)

    @property
    def taps(self) -> int:
        """The number of pixels in a patch."""
        return self.y.taps * self.x.taps

    @property
    def operators(self) -> int:
        """The largest number of operators that pad the image and gather its patches."""
        if self.taps == 1 and self.y.stride == self.x.stride == 1:
            return 0
        # A PAD, and for each axis a RESHAPE, slices and their CONCATENATION.
        axes = [(axis.stride > 1) + axis.taps + (axis.taps > 1) for axis in (self.y, self.x)]
        return 1 + sum(axes)

    @property
    def padding(self) -> list[tuple[int, int]]:
        """The zeros before and behind each axis of the image, as `Builder.pad` takes them."""
        return [(0, 0), (self.y.before, self.y.behind), (self.x.before, self.x.behind), (0, 0)]

    def gather(self, builder: Builder, run: list[Any], image: int) -> int:
        """Gathers the patches of an image.

        Args:
            builder: The builder of the operators.
            run: The run of operators.
            image: The index of the image, which has its `padding` already.

        Returns:
            The index of a tensor `[batch, rows, columns, taps · channels]`. It is the image itself
            if there is nothing to gather.
        """
        y, x = self.y, self.x
        channels = flatbuffer.shape_of(builder.graph.tensors[image])[-1]
        # The columns of one stride lie side by side in the channels, so that each tap is one slice.
        image = builder.reshape(run, image, (y.padded, x.padded // x.stride, x.stride * channels))
        taps = []
        for tap in range(x.taps):
            stride, pixel = x.position(tap)
            begin, size = (0, stride, pixel * channels), (y.padded, x.size, channels)
            taps.append(builder.slice(run, image, begin, size))
        image = builder.concatenate(run, taps)
        # The rows of one stride lie side by side in the columns, likewise.
        depth = x.taps * channels
        image = builder.reshape(run, image, (y.padded // y.stride, y.stride * x.size, depth))
        taps = []
        for tap in range(y.taps):
            stride, pixel = y.position(tap)
            begin, size = (stride, pixel * x.size, 0), (y.size, x.size, depth)
            taps.append(builder.slice(run, image, begin, size))
        return builder.concatenate(run, taps)
