"""A builder of operators on int8 tensors, for the passes that add operators to a file."""

from typing import Any

import numpy as np

from tf_n2uq._compat.tflite_schema import schema
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.narrow_types import NARROW_TYPES

# XNNPACK does not compute a CONCATENATION of more tensors.
MOST_CONCATENATED = 5


class Builder:
    """Appends operators whose outputs have the scale and zero point of their first input.

    Each method gets a run, which is a list of `OperatorT`, and indices of tensors. It appends
    operators to the run and returns the index of the tensor that the last one writes. Where there
    is nothing to do, it appends nothing and returns the index that it was given.

    Attributes:
        model: The `ModelT`.
        graph: The subgraph that gets the tensors.
    """

    def __init__(self, model: Any, graph: Any, prefix: str) -> None:
        """Makes a builder.

        Args:
            model: A `ModelT`.
            graph: A subgraph of it.
            prefix: The beginning of the names of new tensors.
        """
        self.model, self.graph, self._prefix = model, graph, prefix
        self._constants: dict[bytes, int] = {}

    def pad(self, run: list[Any], source: int, amounts: list[tuple[int, int]]) -> int:
        """Pads a tensor with zeros.

        Args:
            run: The run of operators.
            source: The index of the tensor.
            amounts: For each axis, the number of zeros before and behind the tensor.
        """
        if not any(before or after for before, after in amounts):
            return source
        shape = flatbuffer.shape_of(self.graph.tensors[source])
        padded = [
            size + before + after for size, (before, after) in zip(shape, amounts, strict=True)
        ]
        inputs = [source, self._constant(np.asarray(amounts, np.int32))]
        return self._append(run, 'PAD', 2, inputs, tuple(padded), 'PadOptions')

    def reshape(self, run: list[Any], source: int, shape: tuple[int, ...]) -> int:
        """Gives all axes but the batch a new shape."""
        batch, *rest = flatbuffer.shape_of(self.graph.tensors[source])
        if tuple(rest) == shape:
            return source
        inputs = [source, self._constant(np.asarray((-1, *shape), np.int32))]
        return self._append(run, 'RESHAPE', 1, inputs, (batch, *shape), 'ReshapeOptions')

    def slice(
        self, run: list[Any], source: int, begin: tuple[int, ...], size: tuple[int, ...]
    ) -> int:
        """Takes a part of each axis but the batch: `size` values from `begin` on."""
        batch, *rest = flatbuffer.shape_of(self.graph.tensors[source])
        if tuple(rest) == size:
            return source
        end = tuple(first + length for first, length in zip(begin, size, strict=True))
        bounds = [
            self._constant(np.asarray(bound, np.int32))
            for bound in ((0, *begin), (0, *end), (1,) * (len(size) + 1))
        ]
        # XNNPACK cannot SLICE a batch of unknown size, but it computes a STRIDED_SLICE whose first
        # axis is masked.
        output = self._append(
            run, 'STRIDED_SLICE', 2, [source, *bounds], (batch, *size), 'StridedSliceOptions'
        )
        run[-1].builtinOptions.beginMask = run[-1].builtinOptions.endMask = 1
        return output

    def concatenate(self, run: list[Any], sources: list[int]) -> int:
        """Concatenates tensors along the last axis, a few at a time."""
        if len(sources) == 1:
            return sources[0]
        if len(sources) > MOST_CONCATENATED:
            groups = range(0, len(sources), MOST_CONCATENATED)
            parts = [self.concatenate(run, sources[g : g + MOST_CONCATENATED]) for g in groups]
            return self.concatenate(run, parts)
        *rest, _ = flatbuffer.shape_of(self.graph.tensors[sources[0]])
        depth = sum(flatbuffer.shape_of(self.graph.tensors[source])[-1] for source in sources)
        output = self._append(
            run, 'CONCATENATION', 2, sources, (*rest, depth), 'ConcatenationOptions'
        )
        run[-1].builtinOptions.axis = len(rest)
        return output

    def multiply(self, run: list[Any], source: int, kernel: int, bias: int) -> int:
        """Multiplies the last axis by a kernel `[outputs, features]` and adds a bias."""
        *rest, _ = flatbuffer.shape_of(self.graph.tensors[source])
        depth = flatbuffer.shape_of(self.graph.tensors[kernel])[0]
        version, inputs = self._version(kernel), [source, kernel, bias]
        output = self._append(
            run, 'FULLY_CONNECTED', version, inputs, (*rest, depth), 'FullyConnectedOptions'
        )
        run[-1].builtinOptions.keepNumDims = True
        return output

    def fully_connected(self, run: list[Any], convolution: Any, source: int) -> None:
        """Multiplies the last axis with the kernel, bias and activation of a 1x1 convolution.

        Args:
            run: The run of operators.
            convolution: The `OperatorT` of the convolution, whose output is written.
            source: The index of the tensor that is multiplied.
        """
        inputs = [source, *(int(index) for index in convolution.inputs[1:])]
        output, version = int(convolution.outputs[0]), self._version(inputs[1])
        operator = self._operator(
            'FULLY_CONNECTED', version, inputs, output, 'FullyConnectedOptions'
        )
        operator.builtinOptions.keepNumDims = True
        operator.builtinOptions.fusedActivationFunction = (
            convolution.builtinOptions.fusedActivationFunction
        )
        run.append(operator)

    def scaled(self, values: np.ndarray, tensor_type: int, scales: np.ndarray) -> int:
        """Adds a constant with a scale per index of its first axis.

        Args:
            values: The values, of any shape.
            tensor_type: The value of the schema's `TensorType` for the type of the values.
            scales: The scales, `[size of the first axis]`.

        Returns:
            The index of the tensor.
        """
        index = flatbuffer.add_tensor(
            self.graph,
            f'{self._prefix}_{len(self.graph.tensors)}/constant',
            values.shape,
            tensor_type,
            scale=1.0,
            buffer=flatbuffer.add_buffer(self.model, values),
        )
        quantization = self.graph.tensors[index].quantization
        quantization.scale = np.asarray(scales, np.float32)
        quantization.zeroPoint = np.zeros(len(scales), np.int64)
        return index

    def _version(self, kernel: int) -> int:
        """Returns the version of FULLY_CONNECTED that takes a kernel and keeps the axes of images.

        Version 5 is the first one that keeps the axes of an int8 image.
        """
        narrow = NARROW_TYPES.get(flatbuffer.type_name(self.graph.tensors[kernel]))
        return 5 if narrow is None else narrow.version

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
            f'{self._prefix}_{len(self.graph.tensors)}',
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
        operator.opcodeIndex = flatbuffer.opcode_index(self.model, builtin, version)
        operator.inputs = np.asarray(inputs, np.int32)
        operator.outputs = np.asarray([output], np.int32)
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, options)
        operator.builtinOptions = getattr(schema, f'{options}T')()
        return operator

    def _constant(self, values: np.ndarray) -> int:
        """Returns the index of an int32 constant; equal constants share one tensor."""
        key = bytes(values.shape) + values.tobytes()
        if key not in self._constants:
            self._constants[key] = flatbuffer.add_tensor(
                self.graph,
                f'shape_{len(self.graph.tensors)}',
                values.shape,
                schema.TensorType.INT32,
                buffer=flatbuffer.add_buffer(self.model, values),
            )
        return self._constants[key]
