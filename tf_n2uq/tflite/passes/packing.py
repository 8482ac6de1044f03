"""Kernels of two to four bits, stored as INT4: two values per byte."""

from collections.abc import Container, Mapping
from typing import Any

import numpy as np

from tf_n2uq._compat.tflite_schema import schema
from tf_n2uq.tflite.passes import flatbuffer

# Operator -> the version of it that takes INT4 kernels. DEPTHWISE_CONV_2D would take them too.
VERSIONS = {'CONV_2D': 7, 'FULLY_CONNECTED': 10}
# XNNPACK takes those of FULLY_CONNECTED only, which `unroll_convolutions` makes of convolutions
# other than grouped ones.
XNNPACK_VERSIONS = {'FULLY_CONNECTED': 10}
# FULLY_CONNECTED is not among those of TensorFlow Lite Micro: with a scale per channel, it refuses
# one that has an INT4 kernel. LiteRT's reference kernels know DEPTHWISE_CONV_2D up to version 6 and
# compute with INT4 kernels all the same.
MICRO_VERSIONS = {'CONV_2D': 7, 'DEPTHWISE_CONV_2D': 6}
_LOWEST, _HIGHEST = -8, 7


def pack_int4(model: Any, versions: Mapping[str, int] = VERSIONS) -> Any:
    """Stores every kernel whose integers fit four bits as INT4.

    A kernel that other operators or other operands read too stays int8.

    Args:
        model: A `ModelT`, changed in place.
        versions: The schema's names of the operators whose kernels to pack, and the version that
            each of them then has.

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
        uint8 array of shape [ceil(size / 2)]; the high half of an odd last byte is 0.

    Raises:
        ValueError: A value does not fit.
    """
    flat = np.asarray(values).reshape(-1)
    if flat.size and (flat.min() < _LOWEST or flat.max() > _HIGHEST):
        raise ValueError(
            f'`values` must lie in {_LOWEST}..{_HIGHEST}, got {flat.min()}..{flat.max()}.'
        )
    nibbles = np.zeros((flat.size + 1) // 2 * 2, np.uint8)
    nibbles[: flat.size] = flat.astype(np.int8).view(np.uint8) & 0x0F
    return nibbles[0::2] | (nibbles[1::2] << 4)


def unpack_nibbles(packed: np.ndarray, size: int) -> np.ndarray:
    """The first `size` int8 values of what `pack_nibbles` packed."""
    packed = np.asarray(packed, np.uint8)
    nibbles = np.stack([packed & 0x0F, packed >> 4], axis=-1).reshape(-1)[:size].view(np.int8)
    # Four bits' sign, brought to eight.
    return np.where(nibbles > _HIGHEST, nibbles - 16, nibbles).astype(np.int8)


def fits_four_bits(
    model: Any,
    graph: Any,
    index: int,
    readers: dict[int, list[Any]],
    operators: Container[str] = VERSIONS,
) -> bool:
    """Whether a tensor is an int8 kernel that could be stored as INT4.

    Args:
        model: A `ModelT`.
        graph: The subgraph of the tensor.
        index: The tensor's index.
        readers: What `flatbuffer.consumers` says of the subgraph.
        operators: The schema's names of the operators that may have an INT4 kernel.

    Returns:
        Whether `kernel_values` gives integers that lie in -8..7.
    """
    values = kernel_values(model, graph, index, readers, operators)
    return values is not None and within_four_bits(values)


def within_four_bits(values: np.ndarray) -> bool:
    """Whether integers lie in -8..7."""
    return bool(values.min() >= _LOWEST and values.max() <= _HIGHEST)


def kernel_values(
    model: Any,
    graph: Any,
    index: int,
    readers: dict[int, list[Any]],
    operators: Container[str] = VERSIONS,
) -> np.ndarray | None:
    """The integers of an int8 kernel that other integers could take the place of.

    Args:
        model: A `ModelT`.
        graph: The subgraph of the tensor.
        index: The tensor's index.
        readers: What `flatbuffer.consumers` says of the subgraph.
        operators: The schema's names of the operators whose kernel it may be.

    Returns:
        int8 values in the tensor's shape; None unless it is a constant with zero point 0 that
        such operators read as their kernel, and nothing else reads.
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
