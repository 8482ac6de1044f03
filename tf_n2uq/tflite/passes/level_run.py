"""Operators of a file that compute levels in the place of a marker."""

from __future__ import annotations

import abc
from typing import Any

import numpy as np

from tf_n2uq._compat.tflite_schema import schema
from tf_n2uq.tflite.passes import flatbuffer

_INT8 = schema.TensorType.INT8
# Fused activations.
NONE = schema.ActivationFunctionType.NONE
RELU = schema.ActivationFunctionType.RELU
# The version of each operator that takes int8 tensors, and the beginning of its options' name.
_BUILTINS = {
    'ADD': (2, 'Add'),
    'SUB': (2, 'Sub'),
    'MUL': (3, 'Mul'),
    'DEPTHWISE_CONV_2D': (3, 'DepthwiseConv2D'),
    'LEAKY_RELU': (2, 'LeakyRelu'),
}


class LevelRun(abc.ABC):
    """Collects operators that are computed one after the other, and adds their tensors.

    Attributes:
        operators: The operators so far.
        input: The index of the int8 tensor that they read.
        output: The index of the tensor that the levels are written to.
        name: The name of the output. New tensors get names that begin with it.
        input_scale: The scale of the input.
        input_zero: The zero point of the input.
        output_scale: The scale of the output.
        shape: The shape of the input.
    """

    def __init__(self, model: Any, graph: Any, source: int, result: int) -> None:
        """Prepares a run.

        Args:
            model: A `ModelT`, which gets buffers and operator codes.
            graph: The subgraph that gets the tensors.
            source: The index of the int8 tensor that is read.
            result: The index of the tensor that the levels are written to.
        """
        self._model, self._graph = model, graph
        self.operators: list[Any] = []
        self.input, self.output = source, result
        tensor, levels = graph.tensors[source], graph.tensors[result]
        self.name = flatbuffer.text(levels.name) or f'levels_{result}'
        self.input_scale = float(flatbuffer.scales_of(tensor)[0])
        self.input_zero = flatbuffer.zero_point_of(tensor)
        self.output_scale = float(flatbuffer.scales_of(levels)[0])
        self.shape = flatbuffer.shape_of(tensor)

    @abc.abstractmethod
    def written(self) -> list[Any]:
        """Returns the operators in the order of execution; the last one writes the output."""

    def append(self, name: str, inputs: list[int], output: int) -> Any:
        """Appends an operator, and returns its options."""
        version, kind = _BUILTINS[name]
        operator = schema.OperatorT()
        operator.opcodeIndex = flatbuffer.opcode_index(
            self._model, getattr(schema.BuiltinOperator, name), version
        )
        operator.inputs = np.asarray(inputs, np.int32)
        operator.outputs = np.asarray([output], np.int32)
        operator.builtinOptionsType = getattr(schema.BuiltinOptions, f'{kind}Options')
        operator.builtinOptions = getattr(schema, f'{kind}OptionsT')()
        self.operators.append(operator)
        return operator.builtinOptions

    def tensor(self, name: str, scale: float, zero_point: int) -> int:
        """Adds an int8 tensor of the shape of the input, and returns its index."""
        index = flatbuffer.add_tensor(
            self._graph, name, self.shape, _INT8, scale=scale, zero_point=zero_point
        )
        # The signature of the shape tells that the size of the batch is unknown.
        source = self._graph.tensors[self.input]
        self._graph.tensors[index].shapeSignature = source.shapeSignature
        return index

    def constant(self, name: str, values: np.ndarray, scale: float, zero_point: int) -> int:
        """Adds an int8 constant that broadcasts against the input, and returns its index."""
        return flatbuffer.add_tensor(
            self._graph,
            name,
            (1,) * (len(self.shape) - values.ndim) + values.shape,
            _INT8,
            scale=scale,
            zero_point=zero_point,
            buffer=flatbuffer.add_buffer(self._model, values.astype(np.int8)),
        )

    def weights(self, name: str, values: np.ndarray, kind: int, scales: np.ndarray) -> int:
        """Adds a constant that has one scale, or one scale per index of its last axis.

        Args:
            name: The name of the tensor.
            values: Integers of any shape.
            kind: A value of the schema's `TensorType`.
            scales: float64 `[1]` or `[last axis]`.

        Returns:
            The index of the tensor.
        """
        index = flatbuffer.add_tensor(
            self._graph,
            name,
            values.shape,
            kind,
            scale=1.0,
            buffer=flatbuffer.add_buffer(self._model, values),
        )
        quantization = self._graph.tensors[index].quantization
        quantization.scale = scales.astype(np.float32)
        quantization.zeroPoint = np.zeros(len(scales), np.int64)
        quantization.quantizedDimension = values.ndim - 1
        return index
