"""A check that a file computes in integers from end to end."""

from typing import Any

from tf_n2uq.tflite.passes import flatbuffer

# The number of violations that an error lists.
_MOST_LISTED = 20
# The types of the constants of an integer-only file.
_CONSTANTS = ('INT2', 'INT4', 'INT8', 'INT32')


def integer_violations(model: Any) -> list[str]:
    """Lists the operators and tensors that keep a file from being integer-only.

    A file is integer-only if every computed tensor is int8, every constant is int2, int4, int8 or
    int32, all operators are built in, and the only graph has no control flow. An input or output of
    the file may be of another type if only QUANTIZE reads it, or QUANTIZE or DEQUANTIZE writes it.

    Args:
        model: A `ModelT`.

    Returns:
        One line per violation. The list is empty for an integer-only file.
    """
    graph = flatbuffer.main_graph(model)
    found = []
    if len(model.subgraphs) > 1:
        found.append(f'{len(model.subgraphs)} subgraphs: control flow')
    for operator in graph.operators:
        name = flatbuffer.operator_name(model, operator)
        if name.startswith(('CUSTOM:', 'UNKNOWN_')):
            found.append(f'operator {name}: not built in')
    makers, readers = flatbuffer.producers(graph), flatbuffer.consumers(graph)
    for index, tensor in enumerate(graph.tensors):
        if index not in makers and index not in readers:
            continue
        allowed = _CONSTANTS if flatbuffer.is_constant(model, tensor) else ('INT8',)
        if flatbuffer.type_name(tensor) in allowed:
            continue
        if not _is_interface(model, graph, index, makers, readers):
            by = makers.get(index)
            where = f' from {flatbuffer.operator_name(model, by)}' if by is not None else ''
            found.append(
                f'tensor {flatbuffer.text(tensor.name)!r}{where}: {flatbuffer.type_name(tensor)}'
            )
    return found


def check_integer_only(model: Any) -> None:
    """Raises an error unless a file is integer-only, see `integer_violations`.

    Args:
        model: A `ModelT`.

    Raises:
        ValueError: If the file is not integer-only. The message names the operators and tensors.
    """
    found = integer_violations(model)
    if found:
        listed = '\n  '.join(found[:_MOST_LISTED])
        more = f'\n  and {len(found) - _MOST_LISTED} more' if len(found) > _MOST_LISTED else ''
        raise ValueError(
            'model: expected a TFLite file that computes in integers from input to output, got '
            'these violations. Give every tensor around them a range, or leave their layers in '
            f'float with allow_float=True:\n  {listed}{more}'
        )


def _is_interface(
    model: Any,
    graph: Any,
    index: int,
    makers: dict[int, Any],
    readers: dict[int, list[Any]],
) -> bool:
    """Tells whether a tensor is an end of the file that is only converted to or from int8."""
    tensor = graph.tensors[index]
    if flatbuffer.type_name(tensor) not in ('FLOAT32', 'UINT8'):
        return False
    reading = [flatbuffer.operator_name(model, operator) for operator in readers.get(index, [])]
    if index in graph.inputs:
        return all(name == 'QUANTIZE' for name in reading)
    maker = makers.get(index)
    if index not in graph.outputs or maker is None or reading:
        return False
    return flatbuffer.operator_name(model, maker) in ('QUANTIZE', 'DEQUANTIZE')
