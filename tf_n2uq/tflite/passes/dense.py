"""Dense layers that went through the converter as 1x1 convolutions.

The converter cannot transpose a kernel with a fake-quantization per output channel, so it refuses
such a kernel in FULLY_CONNECTED. It takes the same kernel in a 1x1 convolution between two
reshapes. This pass turns the convolution back into FULLY_CONNECTED.
"""

from typing import Any

import numpy as np

from tf_n2uq._compat.tflite_schema import schema
from tf_n2uq.tflite.passes import flatbuffer


def connect_fully(model: Any) -> Any:
    """Turns RESHAPE, CONV_2D on one pixel, RESHAPE into FULLY_CONNECTED, with the same results.

    A RESHAPE that flattens an image stays, with a shape that fits any batch size. A RESHAPE that
    only adds the two axes of the pixel is removed.

    Args:
        model: A `ModelT`, changed in place.

    Returns:
        `model`.
    """
    graph = flatbuffer.main_graph(model)
    makers, readers = flatbuffer.producers(graph), flatbuffer.consumers(graph)
    instead: dict[int, list[Any]] = {}
    for operator in graph.operators:
        after = _squeezing_reshape(model, graph, operator, readers)
        if after is None:
            continue
        before = makers.get(int(operator.inputs[0]))
        if before is not None and flatbuffer.operator_name(model, before) != 'RESHAPE':
            before = None
        source = int(operator.inputs[0])
        if before is not None:
            source = _flat_input(model, graph, before, readers)
            if source != int(before.outputs[0]):
                instead[id(before)] = []
        instead[id(operator)] = [
            _fully_connected(model, graph, operator, source, int(after.outputs[0]))
        ]
        instead[id(after)] = []
    flatbuffer.replace_operators(graph, instead)
    flatbuffer.drop_unused(model)
    return model


def _squeezing_reshape(
    model: Any, graph: Any, operator: Any, readers: dict[int, list[Any]]
) -> Any | None:
    """Returns the RESHAPE to two axes behind a 1x1 convolution of one pixel, or None."""
    if flatbuffer.operator_name(model, operator) != 'CONV_2D':
        return None
    output = int(operator.outputs[0])
    shapes = [
        flatbuffer.shape_of(graph.tensors[index])
        for index in (operator.inputs[0], operator.inputs[1], output)
    ]
    if any(len(shape) != 4 or shape[1:3] != (1, 1) for shape in shapes):
        return None
    # A grouped convolution is no dense layer.
    if shapes[0][3] != shapes[1][3] or output in graph.outputs:
        return None
    after = readers.get(output, [])
    if len(after) != 1 or flatbuffer.operator_name(model, after[0]) != 'RESHAPE':
        return None
    flat = flatbuffer.shape_of(graph.tensors[after[0].outputs[0]])
    return after[0] if flat == (shapes[2][0], shapes[2][3]) else None


def _flat_input(model: Any, graph: Any, reshape: Any, readers: dict[int, list[Any]]) -> int:
    """Returns the tensor [batch, features] to read in place of [batch, 1, 1, features].

    Args:
        model: A `ModelT`.
        graph: The subgraph of the RESHAPE.
        reshape: The RESHAPE that writes [batch, 1, 1, features].
        readers: The operators that read each tensor, from `flatbuffer.consumers`.

    Returns:
        The index of the tensor. It is the output of the RESHAPE if the RESHAPE has to stay.
    """
    output = int(reshape.outputs[0])
    batch, *_, features = flatbuffer.shape_of(graph.tensors[output])
    if flatbuffer.shape_of(graph.tensors[reshape.inputs[0]]) == (batch, features):
        # The RESHAPE may only be removed if nothing else reads its output.
        return int(reshape.inputs[0]) if len(readers[output]) == 1 else output
    if len(readers[output]) == 1:
        shape = flatbuffer.add_buffer(model, np.asarray([-1, features], np.int32))
        name = f'{flatbuffer.text(graph.tensors[output].name)}/shape'
        constant = flatbuffer.add_tensor(graph, name, (2,), schema.TensorType.INT32, buffer=shape)
        reshape.inputs = np.asarray([reshape.inputs[0], constant], np.int32)
        reshape.builtinOptionsType, reshape.builtinOptions = 0, None
        graph.tensors[output].shape = np.asarray([batch, features], np.int32)
        graph.tensors[output].shapeSignature = None
    return output


def _fully_connected(model: Any, graph: Any, convolution: Any, source: int, output: int) -> Any:
    kernel = graph.tensors[convolution.inputs[1]]
    filters, _, _, features = flatbuffer.shape_of(kernel)
    # Output channels come first in both kinds of kernel, so the values stay where they are.
    kernel.shape = np.asarray([filters, features], np.int32)
    operator = schema.OperatorT()
    # Version 4 takes int8 kernels, version 10 int4 kernels.
    version = 10 if flatbuffer.type_name(kernel) == 'INT4' else 4
    operator.opcodeIndex = flatbuffer.opcode_index(
        model, schema.BuiltinOperator.FULLY_CONNECTED, version
    )
    operator.inputs = np.asarray([source, *convolution.inputs[1:]], np.int32)
    operator.outputs = np.asarray([output], np.int32)
    operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    operator.builtinOptions = schema.FullyConnectedOptionsT()
    operator.builtinOptions.fusedActivationFunction = (
        convolution.builtinOptions.fusedActivationFunction
    )
    return operator
