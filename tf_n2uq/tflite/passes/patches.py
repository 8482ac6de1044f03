"""Convolutions with 4-bit kernels as FULLY_CONNECTED over patches.

XNNPACK computes with INT4 kernels in FULLY_CONNECTED, but it leaves a CONV_2D that has an INT4
kernel to slower operators outside of its partition. So this pass writes out the two parts of a
convolution: STRIDED_SLICE and CONCATENATION gather the patch of each output pixel, and
FULLY_CONNECTED multiplies it. Integers, sums and rounding stay the same, and so do the results, to
the bit.
"""

import dataclasses
from typing import Any

import numpy as np

from tf_n2uq._compat.tflite_schema import schema
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.builder import Builder
from tf_n2uq.tflite.passes.packing import fits_four_bits


def unroll_convolutions(model: Any) -> Any:
    """Turns each CONV_2D whose kernel fits four bits into patches and FULLY_CONNECTED.

    XNNPACK needs an even number of features in such a FULLY_CONNECTED. An odd number of channels
    gets a channel of zeros. So does a FULLY_CONNECTED that the file has already.

    Args:
        model: A `ModelT`, changed in place.

    Returns:
        `model`.
    """
    graph = flatbuffer.main_graph(model)
    readers = flatbuffer.consumers(graph)
    builder = Builder(model, graph, 'patches')
    unroll = {'CONV_2D': _unrolled, 'FULLY_CONNECTED': _even_features}
    instead: dict[int, list[Any]] = {}
    for operator in graph.operators:
        name = flatbuffer.operator_name(model, operator)
        if name not in unroll:
            continue
        kernel = int(operator.inputs[1])
        if len(readers[kernel]) == 1 and fits_four_bits(model, graph, kernel, readers):
            run = unroll[name](builder, operator)
            if run is not None:
                instead[id(operator)] = run
    flatbuffer.replace_operators(graph, instead)
    flatbuffer.drop_unused(model)
    return model


@dataclasses.dataclass(frozen=True)
class _Axis:
    """One spatial axis of a convolution.

    Attributes:
        taps: The size of the kernel.
        stride: The stride.
        dilation: The distance between two neighbouring taps.
        size: The size of the output.
        before: The number of zeros in front of the input.
        padded: The size of the input with the zeros before and behind it, a multiple of the stride.
    """

    taps: int
    stride: int
    dilation: int
    size: int
    before: int
    padded: int

    def position(self, tap: int) -> tuple[int, int]:
        """Returns where a tap begins: a number of whole strides, and the pixels beyond them."""
        return divmod(tap * self.dilation, self.stride)


def _axis(taps: int, stride: int, dilation: int, size: int, outputs: int, same: bool) -> _Axis:
    reach = (outputs - 1) * stride + (taps - 1) * dilation + 1
    before = max(reach - size, 0) // 2 if same else 0
    last = (taps - 1) * dilation // stride + outputs
    needed = max(before + size, reach, last * stride)
    return _Axis(taps, stride, dilation, outputs, before, -(-needed // stride) * stride)


def _unrolled(builder: Builder, operator: Any) -> list[Any] | None:
    """Returns the operators of a convolution as patches, or None for a grouped convolution."""
    graph, options = builder.graph, operator.builtinOptions
    source, kernel, output = (
        int(operator.inputs[0]),
        int(operator.inputs[1]),
        int(operator.outputs[0]),
    )
    _, height, width, channels = flatbuffer.shape_of(graph.tensors[source])
    _, taps_y, taps_x, kernel_channels = flatbuffer.shape_of(graph.tensors[kernel])
    _, rows, columns, _ = flatbuffer.shape_of(graph.tensors[output])
    if kernel_channels != channels:
        return None
    same = options.padding == schema.Padding.SAME
    y = _axis(taps_y, options.strideH, options.dilationHFactor, height, rows, same)
    x = _axis(taps_x, options.strideW, options.dilationWFactor, width, columns, same)
    even = channels + channels % 2 if taps_y * taps_x % 2 else channels
    run: list[Any] = []
    image = builder.pad(
        run,
        source,
        [
            (0, 0),
            (y.before, y.padded - y.before - height),
            (x.before, x.padded - x.before - width),
            (0, even - channels),
        ],
    )
    # The columns of one stride lie side by side in the channels, so that each tap is one slice.
    image = builder.reshape(run, image, (y.padded, x.padded // x.stride, x.stride * even))
    taps = []
    for tap in range(x.taps):
        stride, pixel = x.position(tap)
        taps.append(builder.slice(run, image, (0, stride, pixel * even), (y.padded, x.size, even)))
    image = builder.concatenate(run, taps)
    # The rows of one stride lie side by side in the columns, likewise.
    depth = x.taps * even
    image = builder.reshape(run, image, (y.padded // y.stride, y.stride * x.size, depth))
    taps = []
    for tap in range(y.taps):
        stride, pixel = y.position(tap)
        taps.append(builder.slice(run, image, (stride, pixel * x.size, 0), (y.size, x.size, depth)))
    image = builder.concatenate(run, taps)
    _widen_kernel(builder, kernel, even)
    builder.fully_connected(run, operator, image)
    return run


def _even_features(builder: Builder, operator: Any) -> list[Any] | None:
    """Returns the operators of a FULLY_CONNECTED whose odd number of features grows by one.

    Returns None if the number of features is even.
    """
    graph = builder.graph
    source, kernel = int(operator.inputs[0]), int(operator.inputs[1])
    *batch, features = flatbuffer.shape_of(graph.tensors[source])
    if features % 2 == 0 or features != flatbuffer.shape_of(graph.tensors[kernel])[-1]:
        return None
    run: list[Any] = []
    wider = builder.pad(run, source, [(0, 0)] * len(batch) + [(0, 1)])
    _widen_kernel(builder, kernel, features + 1)
    operator.inputs[0] = wider
    return [*run, operator]


def _widen_kernel(builder: Builder, index: int, channels: int) -> None:
    """Pads a kernel with zeros to a number of channels, and gives it the shape of two axes."""
    kernel = builder.graph.tensors[index]
    shape = flatbuffer.shape_of(kernel)
    if shape[-1] != channels:
        values = np.frombuffer(flatbuffer.buffer_bytes(builder.model, kernel), np.int8)
        behind = [(0, 0)] * (len(shape) - 1) + [(0, channels - shape[-1])]
        kernel.buffer = flatbuffer.add_buffer(builder.model, np.pad(values.reshape(shape), behind))
    features = int(np.prod(shape[1:-1], dtype=int)) * channels
    kernel.shape = np.asarray([shape[0], features], np.int32)
