"""TFLite files as objects: reading files that need not be trusted, editing and writing.

The data model are the object classes that are generated from TFLite's schema: `ModelT`,
`SubGraphT`, `TensorT` and `OperatorT`. The functions of this module are the edits that every pass
over a file needs.
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
# No network has nearly as many subgraphs, and a forged file with that many is still read quickly.
_MOST_SUBGRAPHS = 1024
# Vectors up to this size are compared with others, so that equal ones are written once.
_MOST_SHARED_BYTES = 1 << 16


def check_header(content: bytes) -> None:
    """Raises an error unless bytes begin like a TFLite file.

    Args:
        content: The bytes of a file.

    Raises:
        TypeError: If `content` is not bytes.
        ValueError: If `content` is too short, or has not TFLite's identifier.
    """
    if not isinstance(content, bytes | bytearray | memoryview):
        raise TypeError(
            f'content: expected the bytes of a TFLite file, got {type(content).__name__}. Read a '
            'file with pathlib.Path(path).read_bytes().'
        )
    head = bytes(content[:8])
    if len(head) < 8 or head[4:] != FILE_IDENTIFIER:
        raise ValueError(
            f'content: expected a TFLite file, with {FILE_IDENTIFIER!r} at byte 4, got '
            f'{len(content)} bytes that begin with {head!r}. Give the bytes that '
            'tf_n2uq.tflite.convert returned.'
        )
    if int.from_bytes(head[:4], 'little') + 4 > len(content):
        raise ValueError(
            'content: expected a whole TFLite file, got one whose root table lies at byte '
            f'{int.from_bytes(head[:4], "little")} of {len(content)} bytes. Write or download the '
            'file again.'
        )


def read(content: bytes) -> Any:
    """Reads a TFLite file and checks that everything it refers to is inside it.

    Args:
        content: The bytes of a file. They need not be trusted.

    Returns:
        The file as a `ModelT` object.

    Raises:
        TypeError: If `content` is not bytes.
        ValueError: If `content` is not a TFLite file, is truncated, or contradicts itself.
    """
    check_header(content)
    try:
        root = schema.Model.GetRootAs(bytearray(content), 0)
        if root.SubgraphsLength() > _MOST_SUBGRAPHS:
            raise ValueError(f'{root.SubgraphsLength()} subgraphs')
        model = schema.ModelT.InitFromObj(root)
        _check_references(model)
    # Python, struct and NumPy raise many kinds of errors when they follow a forged offset.
    except Exception as error:
        raise ValueError(
            f'content: expected a whole TFLite file, got {len(content)} bytes that cannot be read '
            f'({type(error).__name__}: {error}). Write or download the file again.'
        ) from error
    return model


def write(model: Any) -> bytes:
    """Returns a `ModelT` object as the bytes of a TFLite file."""
    builder = _SharingBuilder(1024)
    builder.Finish(model.Pack(builder), file_identifier=FILE_IDENTIFIER)
    return bytes(builder.Output())


class _SharingBuilder(flatbuffers.Builder):
    """Writes equal short vectors only once.

    The saving is large: a kernel has a zero point of eight bytes for each scale, and all of its
    zero points are 0.
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
    """Returns the subgraph that an interpreter runs."""
    return model.subgraphs[0]


def text(name: bytes | str | None) -> str:
    """Returns a name of the schema's classes, which may be bytes or None, as text."""
    return name.decode('utf-8', 'replace') if isinstance(name, bytes) else (name or '')


def operator_name(model: Any, operator: Any) -> str:
    """Returns the schema's name of an operator, such as `CONV_2D`.

    The name of a custom operator is `CUSTOM:` and the operator's own name.
    """
    code = model.operatorCodes[operator.opcodeIndex]
    builtin = max(code.builtinCode, code.deprecatedBuiltinCode)
    if builtin == schema.BuiltinOperator.CUSTOM:
        return f'CUSTOM:{text(code.customCode)}'
    return _OPERATOR_NAMES.get(builtin, f'UNKNOWN_{builtin}')


def type_name(tensor: Any) -> str:
    """Returns the schema's name of a tensor's type, such as `INT8`."""
    return _TYPE_NAMES.get(tensor.type, f'UNKNOWN_{tensor.type}')


def type_bits(tensor: Any) -> int | None:
    """Returns the bits per value of a tensor, or None if its type has no fixed size."""
    return _BITS.get(_TYPE_NAMES.get(tensor.type, ''))


def shape_of(tensor: Any) -> tuple[int, ...]:
    """Returns the shape of a tensor. A batch of unknown size counts as one example."""
    return () if tensor.shape is None else tuple(map(int, tensor.shape))


def scales_of(tensor: Any) -> np.ndarray:
    """Returns the scales of a tensor, float32 `[1]` or `[channels]`.

    The array is empty if the tensor is not quantized.
    """
    quantization = tensor.quantization
    if quantization is None or quantization.scale is None:
        return np.zeros(0, np.float32)
    return np.asarray(quantization.scale, np.float32)


def zero_point_of(tensor: Any) -> int:
    """Returns the zero point of a tensor with one scale; 0 if the tensor has none."""
    quantization = tensor.quantization
    if quantization is None or quantization.zeroPoint is None or not len(quantization.zeroPoint):
        return 0
    return int(quantization.zeroPoint[0])


def buffer_bytes(model: Any, tensor: Any) -> bytes:
    """Returns the bytes of a constant; none for a tensor that the interpreter computes."""
    data = model.buffers[tensor.buffer].data
    return b'' if data is None else bytes(data)


def is_constant(model: Any, tensor: Any) -> bool:
    """Tells whether the file holds the values of a tensor."""
    data = model.buffers[tensor.buffer].data
    return data is not None and len(data) > 0


def producers(graph: Any) -> dict[int, Any]:
    """Returns the operator that computes each tensor, by the tensor's index."""
    return {int(out): operator for operator in graph.operators for out in operator.outputs}


def consumers(graph: Any) -> dict[int, list[Any]]:
    """Returns the operators that read each tensor, by the tensor's index.

    An operator that reads a tensor several times is listed as often.
    """
    readers: dict[int, list[Any]] = {}
    for operator in graph.operators:
        for index in operator.inputs:
            readers.setdefault(int(index), []).append(operator)
    return readers


def opcode_index(model: Any, builtin: int, version: int) -> int:
    """Returns the index of a built-in operator of a version in the model's table.

    The operator is added to the table if it is not there yet.
    """
    for index, code in enumerate(model.operatorCodes):
        if max(code.builtinCode, code.deprecatedBuiltinCode) == builtin and code.version == version:
            return index
    code = schema.OperatorCodeT()
    code.builtinCode = builtin
    # Old readers, which know at most 127 operators, look at the old field.
    code.deprecatedBuiltinCode = min(
        builtin, schema.BuiltinOperator.PLACEHOLDER_FOR_GREATER_OP_CODES
    )
    code.version = version
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def add_buffer(model: Any, values: np.ndarray) -> int:
    """Adds the values of a constant to the model and returns the index of the buffer."""
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
        graph: The subgraph, changed in place.
        name: The name of the tensor.
        shape: The shape of the tensor.
        tensor_type: A value of the schema's `TensorType`.
        scale: The difference between two neighbouring numbers; None for a tensor that is not
            quantized.
        zero_point: The integer that stands for the number 0.
        buffer: The index of the buffer that holds the values; 0 for a tensor that is computed.

    Returns:
        The index of the tensor.
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
            # The converter gives every computed tensor an empty buffer of its own. The first
            # buffer, which is empty too, serves all of them.
            if not is_constant(model, tensor):
                tensor.buffer = 0
    holders = [tensor for graph in model.subgraphs for tensor in graph.tensors]
    model.buffers = _keep(model.buffers, [*holders, *(model.metadata or [])], 'buffer', first=True)
    # `metadata` has replaced this older list of the buffers of the metadata.
    model.metadataBuffer = None


def _keep(items: list[Any], holders: list[Any], attribute: str, first: bool = False) -> list[Any]:
    """Returns the items that holders name by index in an attribute, and renumbers the holders."""
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
    """Raises ValueError if an index leads nowhere, or a constant has not the size of its shape."""
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
            # The index -1 stands for an optional input that an operator leaves out.
            given = [index for index in operator.inputs if index != -1]
            _check_indices(given, len(graph.tensors), 'an input of an operator')
            _check_indices(operator.outputs, len(graph.tensors), 'an output of an operator')
    for entry in model.metadata or []:
        _check_indices([entry.buffer], len(model.buffers), 'the buffer of an entry of the metadata')


def _check_indices(indices: Any, length: int, owner: str) -> None:
    for index in indices:
        if not 0 <= index < length:
            raise ValueError(f'{owner} has the index {index}, of {length}')


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
    """Replaces operators of a subgraph by runs of others and keeps the order of execution.

    Args:
        graph: The subgraph, changed in place.
        instead: The run that takes the place of an operator, by the `id` of the operator. An empty
            run removes it.
    """
    kept = [instead.get(id(operator), [operator]) for operator in graph.operators]
    graph.operators = [operator for run in kept for operator in run]
