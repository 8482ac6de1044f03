"""The signature of a file: the names by which users know its inputs and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tf_n2uq._compat.tflite_schema import schema
from tf_n2uq.tflite.passes import flatbuffer

_KEY = 'serving_default'


def sign(model: Any, inputs: Sequence[str], outputs: Sequence[str]) -> Any:
    """Gives a file the signature that the converter gives a SavedModel.

    The converter writes a signature only for a SavedModel. Writing and reading a SavedModel would
    take longer than all the rest of a conversion.

    The entries are in the order of the file. LiteRT counts inputs and outputs by this order, and
    the older interpreters sort them by name.

    Args:
        model: A `ModelT`, changed in place.
        inputs: Names of the inputs, in the order of the file.
        outputs: Names of the outputs, in the order of the file.

    Returns:
        `model`.

    Raises:
        ValueError: If the file has another number of inputs or outputs.
    """
    graph = flatbuffer.main_graph(model)
    if (len(graph.inputs), len(graph.outputs)) != (len(inputs), len(outputs)):
        raise ValueError(
            f'inputs, outputs: expected {len(graph.inputs)} and {len(graph.outputs)} names, one '
            f'for each end of the file, got {list(inputs)} and {list(outputs)}. Name them all.'
        )
    # An int8 input or output is a tensor of the network itself and keeps the name of its layer.
    for name, index in zip(inputs, graph.inputs, strict=True):
        if flatbuffer.type_name(graph.tensors[index]) != 'INT8':
            graph.tensors[index].name = f'{_KEY}_{name}:0'.encode()
    for number, index in enumerate(graph.outputs):
        if flatbuffer.text(graph.tensors[index].name).startswith('Identity'):
            graph.tensors[index].name = f'PartitionedCall:{number}'.encode()
    signature = schema.SignatureDefT()
    signature.signatureKey = _KEY.encode()
    signature.subgraphIndex = 0
    signature.inputs = _tensor_maps(inputs, graph.inputs)
    signature.outputs = _tensor_maps(outputs, graph.outputs)
    model.signatureDefs = [signature]
    return model


def end_names(model: Any) -> tuple[list[str], list[str]]:
    """Returns the names of the inputs and of the outputs of a file, in the order of the file.

    An input or output that the signature of the file does not name has the name of its tensor.

    Args:
        model: A `ModelT`. Its signature need not be right.
    """
    graph = flatbuffer.main_graph(model)
    of_main_graph = [each for each in model.signatureDefs or [] if each.subgraphIndex == 0]
    signature = of_main_graph[0] if of_main_graph else schema.SignatureDefT()
    return (
        _names_of(graph, graph.inputs, signature.inputs),
        _names_of(graph, graph.outputs, signature.outputs),
    )


def _names_of(graph: Any, indices: Sequence[int], maps: list[Any] | None) -> list[str]:
    # A tensor that is an output twice has two names.
    given: dict[int, list[str]] = {}
    for each in maps or []:
        given.setdefault(int(each.tensorIndex), []).append(flatbuffer.text(each.name))
    return [
        given[index].pop(0) if given.get(index) else flatbuffer.text(graph.tensors[index].name)
        for index in map(int, indices)
    ]


def _tensor_maps(names: Sequence[str], indices: Sequence[int]) -> list[Any]:
    maps = []
    for name, index in zip(names, indices, strict=True):
        each = schema.TensorMapT()
        each.name, each.tensorIndex = name.encode(), int(index)
        maps.append(each)
    return maps
