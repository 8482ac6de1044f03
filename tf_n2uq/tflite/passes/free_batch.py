"""Shapes that fit any number of images, so that an application may resize a file's input."""

from __future__ import annotations

from typing import Any

import numpy as np

from tf_n2uq._compat.tflite_schema import schema
from tf_n2uq.tflite.passes import flatbuffer


def free_batch(model: Any) -> Any:
    """Leaves the first axis of the result of each RESHAPE and STRIDED_SLICE open.

    The converter writes the size of the batch into these operators. All other axes have sizes that
    do not depend on the batch, so that the first one follows from them.

    Args:
        model: A `ModelT`, changed in place. The batch is the first axis of its tensors, perhaps
            together with rows.

    Returns:
        `model`.
    """
    graph = flatbuffer.main_graph(model)
    constants: dict[tuple[int, ...], int] = {}
    for operator in graph.operators:
        name = flatbuffer.operator_name(model, operator)
        if name == 'RESHAPE':
            _, *rest = flatbuffer.shape_of(graph.tensors[operator.outputs[0]])
            shape = (-1, *rest)
            if shape not in constants:
                constants[shape] = _add_shape(model, graph, operator, shape)
            operator.inputs = np.asarray([operator.inputs[0], constants[shape]], np.int32)
            # XNNPACK reads the shape from the tensor, and other kernels prefer it.
            operator.builtinOptionsType, operator.builtinOptions = 0, None
        elif name == 'STRIDED_SLICE' and _takes_whole_batch(model, graph, operator):
            operator.builtinOptions.beginMask |= 1
            operator.builtinOptions.endMask |= 1
    flatbuffer.drop_unused(model)
    return model


def _add_shape(model: Any, graph: Any, operator: Any, shape: tuple[int, ...]) -> int:
    name = f'{flatbuffer.text(graph.tensors[operator.outputs[0]].name)}/free_shape'
    buffer = flatbuffer.add_buffer(model, np.asarray(shape, np.int32))
    return flatbuffer.add_tensor(graph, name, (len(shape),), schema.TensorType.INT32, buffer=buffer)


def _takes_whole_batch(model: Any, graph: Any, operator: Any) -> bool:
    batch = flatbuffer.shape_of(graph.tensors[operator.inputs[0]])[0]
    taken = flatbuffer.shape_of(graph.tensors[operator.outputs[0]])[0]
    return batch == taken and not operator.builtinOptions.shrinkAxisMask & 1
