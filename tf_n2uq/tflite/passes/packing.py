"""Kernels of few bits, stored with several values per byte."""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import Any

import numpy as np

from tf_n2uq._compat.tflite_schema import schema
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.narrow_types import INT4, NarrowType

# TensorFlow Lite Micro takes INT4 kernels in these versions of the operators. It refuses a
# FULLY_CONNECTED that has an INT4 kernel and a scale per channel. LiteRT's reference kernels know
# DEPTHWISE_CONV_2D up to version 6 only, but they compute with INT4 kernels in this version too.
MICRO_VERSIONS = {'CONV_2D': 7, 'DEPTHWISE_CONV_2D': 6}


def pack_int4(model: Any, versions: Mapping[str, int]) -> Any:
    """Stores every kernel whose integers fit four bits as INT4.

    A kernel stays int8 if other operators, or other inputs of the same operator, read it too.

    Args:
        model: A `ModelT`, changed in place.
        versions: The schema's names of the operators whose kernels are packed, with the version
            that each operator gets.

    Returns:
        `model`.
    """
    graph = flatbuffer.main_graph(model)
    readers = flatbuffer.consumers(graph)
    for operator in graph.operators:
        name = flatbuffer.operator_name(model, operator)
        if name not in versions:
            continue
        index = int(operator.inputs[1])
        kernel = graph.tensors[index]
        values = kernel_values(model, graph, index, readers, versions)
        if values is not None and INT4.holds(values):
            store(model, kernel, values, INT4)
        if flatbuffer.type_name(kernel) == INT4.name:
            builtin = getattr(schema.BuiltinOperator, name)
            operator.opcodeIndex = flatbuffer.opcode_index(model, builtin, versions[name])
    flatbuffer.drop_unused(model)
    return model


def store(model: Any, kernel: Any, values: np.ndarray, narrow: NarrowType) -> None:
    """Gives a kernel integers of a type of few bits.

    Args:
        model: A `ModelT`, which gets a buffer.
        kernel: The kernel's tensor, changed in place. It gets the shape of the integers.
        values: The integers, which fit the type.
        narrow: The type.
    """
    kernel.buffer = flatbuffer.add_buffer(model, narrow.pack(values))
    kernel.type = getattr(schema.TensorType, narrow.name)
    kernel.shape = np.asarray(values.shape, np.int32)


def kernel_values(
    model: Any,
    graph: Any,
    index: int,
    readers: dict[int, list[Any]],
    operators: Container[str],
) -> np.ndarray | None:
    """Returns the integers of an int8 kernel that may be stored in another way.

    Args:
        model: A `ModelT`.
        graph: The subgraph of the tensor.
        index: The tensor's index.
        readers: The operators that read each tensor, from `flatbuffer.consumers`.
        operators: The schema's names of the operators whose kernel the tensor may be.

    Returns:
        int8 values in the tensor's shape. None unless the tensor is a constant with zero point 0,
        such operators read it as their kernel, and nothing else reads it.
    """
    kernel = graph.tensors[index]
    if flatbuffer.type_name(kernel) != 'INT8' or not flatbuffer.is_constant(model, kernel):
        return None
    for reader in readers[index]:
        as_kernel = list(reader.inputs).count(index) == 1 and int(reader.inputs[1]) == index
        if not as_kernel or flatbuffer.operator_name(model, reader) not in operators:
            return None
    if index in graph.outputs or kernel.sparsity is not None:
        return None
    if kernel.quantization is None or np.any(kernel.quantization.zeroPoint):
        return None
    values = np.frombuffer(flatbuffer.buffer_bytes(model, kernel), np.int8)
    return values.reshape(flatbuffer.shape_of(kernel))
