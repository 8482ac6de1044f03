"""TFLite files as objects: parsing what may be hostile, editing, writing.

The schema's generated object classes (`ModelT`, `SubGraphT`, `TensorT`, `OperatorT`) are the data
model; the functions here are the few edits that every pass over a file needs.
"""

import math
from collections.abc import Mapping
from typing import Any

import flatbuffers
import numpy as np

from tf_n2uq._compat.tflite_schema import schema

FILE_IDENTIFIER = b'TFL3'

_OPERATOR_NAMES = {v: k for k, v in vars(schema.BuiltinOperator).items() if isinstance(v, int)}
_TYPE_NAMES = {v: k for k, v in vars(schema.TensorType).items() if isinstance(v, int)}
_BITS = {
    'BOOL': 8,
    'FLOAT16': 16,
    'FLOAT32': 32,
    'FLOAT64': 64,
    'INT2': 2,
    'INT4': 4,
    'INT8': 8,
    'INT16': 16,
    'INT32': 32,
    'INT64': 64,
    'UINT8': 8,
    'UINT16': 16,
    'UINT32': 32,
    'UINT64': 64,
}
# Far above any network, far below what would keep a reader of a forged file busy.
_MOST_SUBGRAPHS = 1024
_MOST_SHARED_BYTES = 1 << 16


def check_header(content: bytes) -> None:
    """Raises unless `content` begins like a TFLite file.

    Args:
        content: A file's bytes.

    Raises:
        TypeError: `content` is not bytes.
        ValueError: `content` is too short, or without TFLite's identifier.
    """
    if not isinstance(content, bytes | bytearray | memoryview):
        raise TypeError(
            f'`content` must be the bytes of a TFLite file, got {type(content).__name__}; '
            'read a file with pathlib.Path(path).read_bytes().'
        )
    head = bytes(content[:8])
    if len(head) < 8 or head[4:] != FILE_IDENTIFIER:
        raise ValueError(
            f'`content` must be a TFLite file, with {FILE_IDENTIFIER!r} at byte 4; got '
            f'{len(content)} bytes that begin with {head!r}.'
        )
    if int.from_bytes(head[:4], 'little') + 4 > len(content):
        raise ValueError(
            f'`content` must be a whole TFLite file; its root table lies at byte '
            f'{int.from_bytes(head[:4], "little")}, but there are {len(content)} bytes.'
        )


def read(content: bytes) -> Any:
    """Reads a TFLite file and checks that everything it refers to is inside it.

    Args:
        content: A file's bytes; they need not be trusted.

    Returns:
        The file as a `ModelT` object.

    Raises:
        TypeError: `content` is not bytes.
        ValueError: `content` is not a TFLite file, is truncated, or contradicts itself.
    """
    check_header(content)
    try:
        root = schema.Model.GetRootAs(bytearray(content), 0)
        if root.SubgraphsLength() > _MOST_SUBGRAPHS:
            raise ValueError(f'{root.SubgraphsLength()} subgraphs')
        model = schema.ModelT.InitFromObj(root)
        _check_references(model)
    # Reading a forged offset ends in whatever Python, struct or NumPy say about it.
    except Exception as error:
        raise ValueError(
            f'`content` must be a whole TFLite file; reading its {len(content)} bytes failed with '
            f'{type(error).__name__}: {error}.'
        ) from error
    return model


def write(model: Any) -> bytes:
    """Writes a `ModelT` object as the bytes of a TFLite file."""
    builder = _SharingBuilder(1024)
    builder.Finish(model.Pack(builder), file_identifier=FILE_IDENTIFIER)
    return bytes(builder.Output())


class _SharingBuilder(flatbuffers.Builder):
    """Writes equal short vectors once.

    A kernel has as many zero points, of eight bytes each and all 0, as it has scales.
    """

    def __init__(self, initial_size: int) -> None:
        super().__init__(initial_size)
        self._written: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: np.ndarray) -> int:  # noqa: N802
        if x.nbytes > _MOST_SHARED_BYTES:
            return super().CreateNumpyVector(x)
        key = (x.dtype.str, x.tobytes())
        if key not in self._written:
            self._written[key] = super().CreateNumpyVector(x)
        return self._written[key]


def main_graph(model: Any) -> Any:
    """The subgraph that an interpreter runs."""
    return model.subgraphs[0]


def text(name: bytes | str | None) -> str:
    """A name as the schema's classes hold it, as text."""
    return name.decode('utf-8', 'replace') if isinstance(name, bytes) else (name or '')


def operator_name(model: Any, operator: Any) -> str:
    """The schema's name of an operator (`CONV_2D`); `CUSTOM:` and its own for a custom one."""
    code = model.operatorCodes[operator.opcodeIndex]
    builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
    if builtin == schema.BuiltinOperator.CUSTOM:
        return f'CUSTOM:{text(code.customCode)}'
    return _OPERATOR_NAMES.get(builtin, f'UNKNOWN_{builtin}')


def type_name(tensor: Any) -> str:
    """The schema's name of a tensor's type (`INT8`)."""
    return _TYPE_NAMES.get(tensor.type, f'UNKNOWN_{tensor.type}')


def type_bits(tensor: Any) -> int | None:
    """Bits per value of a tensor, or None where the type has no fixed size."""
    return _BITS.get(_TYPE_NAMES.get(tensor.type, ''))


def shape_of(tensor: Any) -> tuple[int, ...]:
    """A tensor's shape (in a file of unknown batch size: as if the batch had one example)."""
    return () if tensor.shape is None else tuple(map(int, tensor.shape))


def scales_of(tensor: Any) -> np.ndarray:
    """Float32 scales of a tensor, one for all or one per channel; empty if it is not quantized."""
    quantization = tensor.quantization
    if quantization is None or quantization.scale is None:
        return np.zeros(0, np.float32)
    return np.asarray(quantization.scale, np.float32)


def zero_point_of(tensor: Any) -> int:
    """Zero point of a tensor that is quantized as a whole."""
    quantization = tensor.quantization
    if quantization is None or quantization.zeroPoint is None or not len(quantization.zeroPoint):
        return 0
    return int(quantization.zeroPoint[0])


def buffer_bytes(model: Any, tensor: Any) -> bytes:
    """A constant tensor's bytes; empty for one that the interpreter computes."""
    data = model.buffers[tensor.buffer].data
    return b'' if data is None else bytes(data)


def is_constant(model: Any, tensor: Any) -> bool:
    """Whether the file holds the values of this tensor."""
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0


def producers(graph: Any) -> dict[int, Any]:
    """Tensor index -> the operator that computes it."""
    return {int(out): operator for operator in graph.operators for out in operator.outputs}


def consumers(graph: Any) -> dict[int, list[Any]]:
    """Tensor index -> the operators that read it, each as often as it reads it."""
    readers: dict[int, list[Any]] = {}
    for operator in graph.operators:
        for index in operator.inputs:
            readers.setdefault(int(index), []).append(operator)
    return readers


def opcode_index(model: Any, builtin: int, version: int) -> int:
    """Index of a built-in operator of a version in the model's table, which gets it if need be."""
    for index, code in enumerate(model.operatorCodes):
        if max(code.builtinCode, code.deprecatedBuiltinCode) == builtin and code.version == version:
            return index
    code = schema.OperatorCodeT()
    code.builtinCode = builtin
    # Readers from before there were more than 127 operators look at the old field.
    code.deprecatedBuiltinCode = min(
        builtin, schema.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES
    )
    code.version = version
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def add_buffer(model: Any, values: np.ndarray) -> int:
    """Adds a constant's values to the model; returns the buffer's index."""
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def add_tensor(
    graph: Any,
    name: str,
    shape: tuple[int, ...],
    tensor_type: int,
    *,
    scale: float | None = None,
    zero_point: int = 0,
    buffer: int = 0,
) -> int:
    """Adds a tensor to a subgraph.

    Args:
        graph: The subgraph.
        name: The tensor's name.
        shape: Its shape.
        tensor_type: A value of the schema's `TensorType`.
        scale: What one integer step is worth; None for a tensor that is not quantized.
        zero_point: The integer that means 0.
        buffer: Index of the buffer with its values; 0 for a tensor that is computed.

    Returns:
        The tensor's index.
    """
    tensor = schema.TensorT()
    tensor.name = name.encode()
    tensor.shape = np.asarray(shape, np.int32)
    tensor.type = tensor_type
    tensor.buffer = buffer
    if scale is not None:
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = np.asarray([scale], np.float32)
        tensor.quantization.zeroPoint = np.asarray([zero_point], np.int64)
    graph.tensors.append(tensor)
    return len(graph.tensors) - 1


def drop_unused(model: Any) -> None:
    """Removes operator codes, tensors and buffers that nothing refers to, in place."""
    for graph in model.subgraphs:
        _drop_unused_tensors(model, graph)
    codes = [operator for graph in model.subgraphs for operator in graph.operators]
    model.operatorCodes = _keep(model.operatorCodes, codes, 'opcodeIndex')
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            # The converter gives every computed tensor an empty buffer of its own; the first one
            # serves all.
            if not is_constant(model, tensor):
                tensor.buffer = 0
    holders = [tensor for graph in model.subgraphs for tensor in graph.tensors]
    model.buffers = _keep(model.buffers, [*holders, *(model.metadata or [])], 'buffer', first=True)
    # An older way to list the metadata's buffers, which `metadata` has replaced.
    model.metadataBuffer = None


def _keep(items: list[Any], holders: list[Any], attribute: str, first: bool = False) -> list[Any]:
    """The items that some holder's attribute names by index; renumbers the holders."""
    used = {int(getattr(holder, attribute)) for holder in holders} | ({0} if first else set())
    number = {old: new for new, old in enumerate(sorted(used))}
    for holder in holders:
        setattr(holder, attribute, number[int(getattr(holder, attribute))])
    return [items[old] for old in sorted(used)]


def _drop_unused_tensors(model: Any, graph: Any) -> None:
    used = {int(index) for index in (*graph.inputs, *graph.outputs)}
    for operator in graph.operators:
        used.update(int(index) for index in (*operator.inputs, *operator.outputs))
    used.discard(-1)
    number = {old: new for new, old in enumerate(sorted(used))}
    number[-1] = -1

    def renumber(indices: Any) -> np.ndarray:
        return np.asarray([number[int(index)] for index in indices], np.int32)

    graph.inputs, graph.outputs = renumber(graph.inputs), renumber(graph.outputs)
    for operator in graph.operators:
        operator.inputs, operator.outputs = renumber(operator.inputs), renumber(operator.outputs)
        if operator.intermediates is not None:
            operator.intermediates = None
    for signature in model.signatureDefs or []:
        if model.subgraphs[signature.subgraphIndex] is graph:
            for entry in (*(signature.inputs or []), *(signature.outputs or [])):
                entry.tensorIndex = number[int(entry.tensorIndex)]
    graph.tensors = [graph.tensors[old] for old in sorted(used)]


def _check_references(model: Any) -> None:
    """Raises ValueError where an index leads nowhere or a constant has not its shape's size."""
    if not model.subgraphs or not model.buffers:
        raise ValueError('no subgraph or no buffer')
    for place, graph in enumerate(model.subgraphs):
        for field in ('tensors', 'operators', 'inputs', 'outputs'):
            if getattr(graph, field) is None:
                setattr(graph, field, [])
        for tensor in graph.tensors:
            _check_tensor(model, tensor)
        _check_indices(graph.inputs, len(graph.tensors), f'an input of subgraph {place}')
        _check_indices(graph.outputs, len(graph.tensors), f'an output of subgraph {place}')
        for operator in graph.operators:
            _check_indices(
                [operator.opcodeIndex], len(model.operatorCodes or []), 'an operator code'
            )
            for field in ('inputs', 'outputs'):
                if getattr(operator, field) is None:
                    setattr(operator, field, np.zeros(0, np.int32))
            # An operator may leave out an optional input; that is what -1 says.
            given = [index for index in operator.inputs if index != -1]
            _check_indices(given, len(graph.tensors), 'an input of an operator')
            _check_indices(operator.outputs, len(graph.tensors), 'an output of an operator')
    for entry in model.metadata or []:
        _check_indices([entry.buffer], len(model.buffers), 'the buffer of an entry of the metadata')


def _check_indices(indices: Any, length: int, what: str) -> None:
    for index in indices:
        if not 0 <= index < length:
            raise ValueError(f'{what} has the index {index}, of {length}')


def _check_tensor(model: Any, tensor: Any) -> None:
    _check_indices(
        [tensor.buffer], len(model.buffers), f'the buffer of tensor {text(tensor.name)!r}'
    )
    shape = shape_of(tensor)
    if any(size < 0 for size in shape):
        raise ValueError(f'tensor {text(tensor.name)!r} has the shape {shape}')
    held = model.buffers[tensor.buffer].data
    bits = type_bits(tensor)
    if held is None or not len(held) or bits is None or tensor.sparsity is not None:
        return
    needed = math.ceil(math.prod(shape) * bits / 8)
    if needed != len(held):
        raise ValueError(
            f'tensor {text(tensor.name)!r} of shape {shape} and type {type_name(tensor)} needs '
            f'{needed} bytes, but its buffer holds {len(held)}'
        )


def replace_operators(graph: Any, instead: Mapping[int, list[Any]]) -> None:
    """Replaces operators of a subgraph by runs of others, keeping the order of execution.

    Args:
        graph: The subgraph, changed in place.
        instead: The operators that take the place of one, by its `id`.
    """
    kept = [instead.get(id(operator), [operator]) for operator in graph.operators]
    graph.operators = [operator for run in kept for operator in run]
