"""The operators of a file that XNNPACK does not compute, with the reasons."""

import collections
from collections.abc import Collection, Iterator
from typing import Any

import numpy as np

from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.narrow_types import NARROW_TYPES
from tf_n2uq.tflite.reports.inspection_report import Undelegated

# The reasons why XNNPACK does not compute operators of int8, found with LiteRT 2.3.
_REASONS_FOR_INT8 = {
    'AVERAGE_POOL_2D': 'XNNPACK averages over windows of floats only',
    'GATHER': 'XNNPACK has no GATHER of int8',
    'HARD_SWISH': 'XNNPACK has no HARD_SWISH of int8',
    'MIRROR_PAD': 'XNNPACK pads int8 with a constant only',
    'RELU': 'XNNPACK has a RELU of int8 only inside of the operator before it',
    'RELU6': 'XNNPACK has a RELU6 of int8 only inside of the operator before it',
    'RESIZE_NEAREST_NEIGHBOR': 'XNNPACK resizes int8 bilinearly only',
    'SOFTMAX': 'XNNPACK has no SOFTMAX of int8',
}
_UNKNOWN = 'the reason is not known'


def undelegated(model: Any, inside: Collection[int]) -> Iterator[Undelegated]:
    """Yields the operators outside of XNNPACK's partitions, counted by name and reason.

    Args:
        model: A `ModelT`.
        inside: The numbers of the operators inside of the partitions.
    """
    graph, taken = flatbuffer.main_graph(model), set(inside)
    left = [
        (flatbuffer.operator_name(model, operator), _reason(model, graph, operator))
        for number, operator in enumerate(graph.operators)
        if number not in taken
    ]
    for (name, reason), count in collections.Counter(left).items():
        yield Undelegated(name, count, reason)


def _reason(model: Any, graph: Any, operator: Any) -> str:
    name = flatbuffer.operator_name(model, operator)
    if name.startswith('CUSTOM:'):
        return 'XNNPACK has built-in operators only'
    types = [flatbuffer.type_name(graph.tensors[index]) for index in operator.inputs if index >= 0]
    narrow = next((each for each in types if each in NARROW_TYPES), None)
    if narrow is not None:
        return _reason_for_narrow(name, narrow)
    if name == 'STRIDED_SLICE' and _skips(model, graph, operator):
        return 'XNNPACK slices without skipping values only'
    return _REASONS_FOR_INT8.get(name, _UNKNOWN) if types[:1] == ['INT8'] else _UNKNOWN


def _reason_for_narrow(name: str, narrow: str) -> str:
    if name != 'FULLY_CONNECTED':
        return f'XNNPACK takes {narrow} kernels in FULLY_CONNECTED only'
    multiple = NARROW_TYPES[narrow].per_byte
    return f'XNNPACK takes {narrow} kernels of a multiple of {multiple} input features only'


def _skips(model: Any, graph: Any, operator: Any) -> bool:
    strides = flatbuffer.buffer_bytes(model, graph.tensors[operator.inputs[-1]])
    return any(np.frombuffer(strides, np.int32) != 1)
