"""The names by which users of a file know its inputs and outputs."""

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

    Args:
        model: A `ModelT`, changed in place.
        inputs: Names of the inputs, in order.
        outputs: Names of the outputs, in order.

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
        if flatbuffer.text(graph.tensors[index].name) == name:
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


def _tensor_maps(names: Sequence[str], indices: Sequence[int]) -> list[Any]:
    maps = []
    for name, index in sorted(zip(names, indices, strict=True)):
        each = schema.TensorMapT()
        each.name, each.tensorIndex = name.encode(), int(index)
        maps.append(each)
    return maps
