"""Kernels of two to four bits, stored as INT4 with two values per byte."""

from collections.abc import Container, Mapping
from typing import Any

import numpy as np

from tf_n2uq._compat.tflite_schema import schema
from tf_n2uq.tflite.passes import flatbuffer

# For each operator, the version that takes INT4 kernels. DEPTHWISE_CONV_2D would take them too.
VERSIONS = {'CONV_2D': 7, 'FULLY_CONNECTED': 10}
# XNNPACK takes INT4 kernels in FULLY_CONNECTED only. `unroll_convolutions` turns convolutions into
# FULLY_CONNECTED, except grouped ones.
XNNPACK_VERSIONS = {'FULLY_CONNECTED': 10}
# TensorFlow Lite Micro refuses a FULLY_CONNECTED that has an INT4 kernel and a scale per channel.
# LiteRT's reference kernels know DEPTHWISE_CONV_2D up to version 6 only, but they compute with INT4
# kernels in this version too.
MICRO_VERSIONS = {'CONV_2D': 7, 'DEPTHWISE_CONV_2D': 6}
_LOWEST_INT4, _HIGHEST_INT4 = -8, 7


def pack_int4(model: Any, versions: Mapping[str, int] = VERSIONS) -> Any:
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
    packed: dict[int, int] = {}
    for operator in graph.operators:
        name = flatbuffer.operator_name(model, operator)
        if name not in versions:
            continue
        index = int(operator.inputs[1])
        kernel = graph.tensors[index]
        if fits_four_bits(model, graph, index, readers, versions):
            if kernel.buffer not in packed:
                values = np.frombuffer(flatbuffer.buffer_bytes(model, kernel), np.int8)
                packed[kernel.buffer] = flatbuffer.add_buffer(model, pack_nibbles(values))
            kernel.buffer = packed[kernel.buffer]
            kernel.type = schema.TensorType.INT4
        if flatbuffer.type_name(kernel) == 'INT4':
            builtin = getattr(schema.BuiltinOperator, name)
            operator.opcodeIndex = flatbuffer.opcode_index(model, builtin, versions[name])
    flatbuffer.drop_unused(model)
    return model


def pack_nibbles(values: np.ndarray) -> np.ndarray:
    """Packs integers two per byte, the first one in the low half.

    Args:
        values: Integers in -8..7, of any shape, in the order in which they are stored.

    Returns:
        uint8 array of shape [ceil(size / 2)]. If the number of values is odd, the high half of the
        last byte is 0.

    Raises:
        ValueError: If a value does not fit four bits.
    """
    flat = np.asarray(values).reshape(-1)
    if flat.size and (flat.min() < _LOWEST_INT4 or flat.max() > _HIGHEST_INT4):
        raise ValueError(
            f'values: expected integers in {_LOWEST_INT4}..{_HIGHEST_INT4}, got '
            f'{flat.min()}..{flat.max()}. Keep a kernel of more than four bits as int8.'
        )
    nibbles = np.zeros((flat.size + 1) // 2 * 2, np.uint8)
    nibbles[: flat.size] = flat.astype(np.int8).view(np.uint8) & 0x0F
    return nibbles[0::2] | (nibbles[1::2] << 4)


def unpack_nibbles(packed: np.ndarray, size: int) -> np.ndarray:
    """Unpacks integers that `pack_nibbles` has packed.

    Args:
        packed: uint8 array of at least ceil(`size` / 2) bytes.
        size: The number of values.

    Returns:
        int8 array of shape [`size`].
    """
    packed = np.asarray(packed, np.uint8)
    nibbles = np.stack([packed & 0x0F, packed >> 4], axis=-1).reshape(-1)[:size].view(np.int8)
    # The sign of four bits becomes the sign of eight.
    return np.where(nibbles > _HIGHEST_INT4, nibbles - 16, nibbles).astype(np.int8)


def fits_four_bits(
    model: Any,
    graph: Any,
    index: int,
    readers: dict[int, list[Any]],
    operators: Container[str] = VERSIONS,
) -> bool:
    """Tells whether a tensor is an int8 kernel that could be stored as INT4.

    Args:
        model: A `ModelT`.
        graph: The subgraph of the tensor.
        index: The tensor's index.
        readers: The operators that read each tensor, from `flatbuffer.consumers`.
        operators: The schema's names of the operators that may have an INT4 kernel.

    Returns:
        True if `kernel_values` returns integers that lie in -8..7.
    """
    values = kernel_values(model, graph, index, readers, operators)
    return values is not None and within_four_bits(values)


def within_four_bits(values: np.ndarray) -> bool:
    """Tells whether all integers of a non-empty array lie in -8..7."""
    return bool(values.min() >= _LOWEST_INT4 and values.max() <= _HIGHEST_INT4)


def kernel_values(
    model: Any,
    graph: Any,
    index: int,
    readers: dict[int, list[Any]],
    operators: Container[str] = VERSIONS,
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
