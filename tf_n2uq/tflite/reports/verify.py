"""Whether a file computes in integers from end to end."""

from typing import Any

from tf_n2uq.tflite.passes import flatbuffer

# How many violations an error lists.
_MOST_LISTED = 20


def integer_violations(model: Any) -> list[str]:
    """What keeps a file from being integer-only.

    Integer-only means: every computed tensor is int8; constants are int8, int4 or int32; operators
    are built in; and there is one graph without control flow. Only the model's own inputs and
    outputs may be of another type, if all that reads (writes) them is QUANTIZE or DEQUANTIZE.

    Args:
        model: A `ModelT`.

    Returns:
        One line per offending operator or tensor; empty for an integer-only file.
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
        allowed = ('INT8', 'INT4', 'INT32') if flatbuffer.is_constant(model, tensor) else ('INT8',)
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
    """Raises unless a file computes in integers from end to end; see `integer_violations`.

    Args:
        model: A `ModelT`.

    Raises:
        ValueError: It does not. The message names the operators and tensors.
    """
    found = integer_violations(model)
    if found:
        listed = '\n  '.join(found[:_MOST_LISTED])
        more = f'\n  and {len(found) - _MOST_LISTED} more' if len(found) > _MOST_LISTED else ''
        raise ValueError(
            'The TFLite file must compute in integers from input to output, but these do not; '
            f'every tensor around them needs a range:\n  {listed}{more}'
        )


def _is_interface(
    model: Any,
    graph: Any,
    index: int,
    makers: dict[int, Any],
    readers: dict[int, list[Any]],
) -> bool:
    """Whether a tensor is an input that is only quantized, or an output only converted to."""
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
