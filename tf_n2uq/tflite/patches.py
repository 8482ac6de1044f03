"""Convolutions with 4-bit kernels as FULLY_CONNECTED over patches.

XNNPACK computes with INT4 kernels in FULLY_CONNECTED, but leaves a CONV_2D that has one to slower
kernels outside of its partition. So this pass writes down what a convolution does anyway: it
gathers each output pixel's patch by STRIDED_SLICE and CONCATENATION, and multiplies. Integers, sums
and rounding stay the same, and so do the results, to the bit.
"""

import dataclasses
from typing import Any

import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from tf_n2uq.tflite import flatbuffer
from tf_n2uq.tflite.packing import fits_four_bits

# XNNPACK leaves a longer CONCATENATION to others.
_MOST_CONCATENATED = 4


def unroll_convolutions(model: Any) -> Any:
    """Turns each CONV_2D whose kernel fits four bits into patches and FULLY_CONNECTED.

    XNNPACK wants an even number of features there. An odd number of channels, also of a
    FULLY_CONNECTED that is there already, gets a channel of zeros.

    Args:
        model: A `ModelT`, changed in place.

    Returns:
        `model`.
    """
    graph = flatbuffer.main_graph(model)
    readers = flatbuffer.consumers(graph)
    builder = _Builder(model, graph)

    def replace(operator: Any) -> list[Any] | None:
        name = flatbuffer.operator_name(model, operator)
        if name not in ('CONV_2D', 'FULLY_CONNECTED'):
            return None
        kernel = int(operator.inputs[1])
        if len(readers[kernel]) != 1 or not fits_four_bits(model, graph, kernel, readers):
            return None
        if name == 'CONV_2D':
            return _unrolled(builder, operator)
        return _even_features(builder, operator)

    flatbuffer.rewrite_operators(graph, replace)
    flatbuffer.drop_unused(model)
    return model


@dataclasses.dataclass(frozen=True)
class _Axis:
    """One spatial axis of a convolution.

    Attributes:
        taps: Kernel size.
        stride: Stride.
        dilation: Distance of two taps.
        size: Size of the output.
        before: Zeros in front of the input.
        padded: Size of the input with zeros before and behind, a multiple of the stride.
    """

    taps: int
    stride: int
    dilation: int
    size: int
    before: int
    padded: int

    def position(self, tap: int) -> tuple[int, int]:
        """Where a tap begins, in strides and, within the first of them, in pixels."""
        return divmod(tap * self.dilation, self.stride)


def _axis(taps: int, stride: int, dilation: int, size: int, outputs: int, same: bool) -> _Axis:
    reach = (outputs - 1) * stride + (taps - 1) * dilation + 1
    before = max(reach - size, 0) // 2 if same else 0
    last = (taps - 1) * dilation // stride + outputs
    needed = max(before + size, reach, last * stride)
    return _Axis(taps, stride, dilation, outputs, before, -(-needed // stride) * stride)


def _unrolled(builder: '_Builder', operator: Any) -> list[Any] | None:
    """The operators of a convolution as patches; None for a grouped one."""
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
    # Columns: those of one stride lie side by side in the channels, then each tap is one slice.
    image = builder.reshape(run, image, (y.padded, x.padded // x.stride, x.stride * even))
    taps = []
    for tap in range(x.taps):
        stride, pixel = x.position(tap)
        taps.append(builder.slice(run, image, (0, stride, pixel * even), (y.padded, x.size, even)))
    image = builder.concatenate(run, taps)
    # Rows: those of one stride lie side by side in the columns.
    depth = x.taps * even
    image = builder.reshape(run, image, (y.padded // y.stride, y.stride * x.size, depth))
    taps = []
    for tap in range(y.taps):
        stride, pixel = y.position(tap)
        taps.append(builder.slice(run, image, (stride, pixel * x.size, 0), (y.size, x.size, depth)))
    image = builder.concatenate(run, taps)
    builder.widen_kernel(kernel, even)
    run.append(builder.fully_connected(operator, image))
    return run


def _even_features(builder: '_Builder', operator: Any) -> list[Any] | None:
    """A FULLY_CONNECTED of an odd number of features with one more; None for any other."""
    graph = builder.graph
    source, kernel = int(operator.inputs[0]), int(operator.inputs[1])
    *batch, features = flatbuffer.shape_of(graph.tensors[source])
    if features % 2 == 0 or features != flatbuffer.shape_of(graph.tensors[kernel])[-1]:
        return None
    run: list[Any] = []
    wider = builder.pad(run, source, [(0, 0)] * len(batch) + [(0, 1)])
    builder.widen_kernel(kernel, features + 1)
    operator.inputs[0] = wider
    return [*run, operator]


class _Builder:
    """Appends operators on int8 tensors; their outputs have the quantization of their inputs."""

    def __init__(self, model: Any, graph: Any) -> None:
        self._model, self.graph = model, graph
        self._constants: dict[bytes, int] = {}

    def pad(self, run: list[Any], source: int, amounts: list[tuple[int, int]]) -> int:
        if not any(before or after for before, after in amounts):
            return source
        shape = flatbuffer.shape_of(self.graph.tensors[source])
        padded = [
            size + before + after for size, (before, after) in zip(shape, amounts, strict=True)
        ]
        inputs = [source, self._constant(np.asarray(amounts, np.int32))]
        return self._append(run, 'PAD', 2, inputs, tuple(padded), 'PadOptions')

    def reshape(self, run: list[Any], source: int, shape: tuple[int, ...]) -> int:
        """Reshapes all but the batch axis."""
        batch, *rest = flatbuffer.shape_of(self.graph.tensors[source])
        if tuple(rest) == shape:
            return source
        inputs = [source, self._constant(np.asarray((-1, *shape), np.int32))]
        return self._append(run, 'RESHAPE', 1, inputs, (batch, *shape), 'ReshapeOptions')

    def slice(
        self, run: list[Any], source: int, begin: tuple[int, ...], size: tuple[int, ...]
    ) -> int:
        """Slices all but the batch axis."""
        batch, *rest = flatbuffer.shape_of(self.graph.tensors[source])
        if tuple(rest) == size:
            return source
        end = tuple(first + length for first, length in zip(begin, size, strict=True))
        bounds = [
            self._constant(np.asarray(bound, np.int32))
            for bound in ((0, *begin), (0, *end), (1,) * (len(size) + 1))
        ]
        # XNNPACK has no SLICE of a batch of unknown size, but a STRIDED_SLICE whose first axis is
        # masked.
        output = self._append(
            run, 'STRIDED_SLICE', 2, [source, *bounds], (batch, *size), 'StridedSliceOptions'
        )
        run[-1].builtinOptions.beginMask = run[-1].builtinOptions.endMask = 1
        return output

    def concatenate(self, run: list[Any], sources: list[int]) -> int:
        """Concatenates along the last axis."""
        if len(sources) == 1:
            return sources[0]
        if len(sources) > _MOST_CONCATENATED:
            groups = range(0, len(sources), _MOST_CONCATENATED)
            parts = [self.concatenate(run, sources[g : g + _MOST_CONCATENATED]) for g in groups]
            return self.concatenate(run, parts)
        *rest, _ = flatbuffer.shape_of(self.graph.tensors[sources[0]])
        depth = sum(flatbuffer.shape_of(self.graph.tensors[source])[-1] for source in sources)
        output = self._append(
            run, 'CONCATENATION', 2, sources, (*rest, depth), 'ConcatenationOptions'
        )
        run[-1].builtinOptions.axis = len(rest)
        return output

    def widen_kernel(self, index: int, channels: int) -> None:
        """Gives a kernel channels of zeros, and two axes."""
        kernel = self.graph.tensors[index]
        shape = flatbuffer.shape_of(kernel)
        if shape[-1] != channels:
            values = np.frombuffer(flatbuffer.buffer_bytes(self._model, kernel), np.int8)
            behind = [(0, 0)] * (len(shape) - 1) + [(0, channels - shape[-1])]
            kernel.buffer = flatbuffer.add_buffer(
                self._model, np.pad(values.reshape(shape), behind)
            )
        features = int(np.prod(shape[1:-1], dtype=int)) * channels
        kernel.shape = np.asarray([shape[0], features], np.int32)

    def fully_connected(self, convolution: Any, source: int) -> Any:
        operator = self._operator(
            'FULLY_CONNECTED',
            5,  # of the versions for int8, the first that keeps an image's axes
            [source, *(int(index) for index in convolution.inputs[1:])],
            int(convolution.outputs[0]),
            'FullyConnectedOptions',
        )
        operator.builtinOptions.keepNumDims = True
        operator.builtinOptions.fusedActivationFunction = (
            convolution.builtinOptions.fusedActivationFunction
        )
        return operator

    def _append(
        self,
        run: list[Any],
        name: str,
        version: int,
        inputs: list[int],
        shape: tuple[int, ...],
        options: str,
    ) -> int:
        source = self.graph.tensors[inputs[0]]
        output = flatbuffer.add_tensor(
            self.graph,
            f'patches_{len(self.graph.tensors)}',
            shape,
            schema.TensorType.INT8,
            scale=float(flatbuffer.scales_of(source)[0]),
            zero_point=flatbuffer.zero_point_of(source),
        )
        run.append(self._operator(name, version, inputs, output, options))
        return output

    def _operator(
        self, name: str, version: int, inputs: list[int], output: int, options: str
    ) -> Any:
        operator = schema.OperatorT()
        builtin = getattr(schema.BuiltinOperator, name)
        operator.opcodeIndex = flatbuffer.opcode_index(self._model, builtin, version)
        operator.inputs = np.asarray(inputs, np.int32)
        operator.outputs = np.asarray([output], np.int32)
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, options)
        operator.builtinOptions = getattr(schema, f'{options}T')()
        return operator

    def _constant(self, values: np.ndarray) -> int:
        """An int32 constant; equal ones are one tensor."""
        key = bytes(values.shape) + values.tobytes()
        if key not in self._constants:
            self._constants[key] = flatbuffer.add_tensor(
                self.graph,
                f'shape_{len(self.graph.tensors)}',
                values.shape,
                schema.TensorType.INT32,
                buffer=flatbuffer.add_buffer(self._model, values),
            )
        return self._constants[key]
