"""The inspection of a TFLite file: its layers, operators, sizes and XNNPACK coverage."""

import collections
import concurrent.futures
import math
import zlib
from typing import Any

from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.channel_sums import sums_channels
from tf_n2uq.tflite.passes.lowering import ramp_levels
from tf_n2uq.tflite.passes.signature import end_names
from tf_n2uq.tflite.passes.table_lowering import written_chain
from tf_n2uq.tflite.reports.inspection_report import Inspection, LayerReport, TensorReport
from tf_n2uq.tflite.reports.undelegated import undelegated
from tf_n2uq.tflite.reports.verify import integer_violations
from tf_n2uq.tflite.running.interpreter import xnnpack_delegation

_LAYERS = ('CONV_2D', 'DEPTHWISE_CONV_2D', 'FULLY_CONNECTED', 'TRANSPOSE_CONV')
# The positions of the kernel and of the data among the inputs of an operator. The data come first,
# except in these operators.
_KERNEL_INPUT, _DATA_INPUT = 1, {'TRANSPOSE_CONV': 2}
# The operators that only move numbers between comparators and the layer that reads them.
_MOVING = ('CONCATENATION', 'PAD', 'PADV2', 'RESHAPE', 'STRIDED_SLICE')


def inspect(content: bytes) -> Inspection:
    """Reports a TFLite file's kernels, comparators, operators, sizes and XNNPACK coverage.

    Args:
        content: The bytes of the file. They need not be trusted.

    Returns:
        The report.

    Raises:
        TypeError: If `content` is not bytes.
        ValueError: If `content` is not a TFLite file that the interpreter can prepare.
    """
    model = flatbuffer.read(content)
    graph = flatbuffer.main_graph(model)
    delegation = xnnpack_delegation(content)
    names = [flatbuffer.operator_name(model, operator) for operator in graph.operators]
    inputs, outputs = end_names(model)
    # Compressing a large file takes seconds. Meanwhile, this thread compresses the kernels.
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        deflated = pool.submit(_deflated_bytes, content)
        layers = tuple(_layers(model, graph, set(delegation.inside)))
    return Inspection(
        file_bytes=len(content),
        deflated_bytes=deflated.result(),
        layers=layers,
        constant_bytes=_constant_bytes(model),
        operators=dict(collections.Counter(names).most_common()),
        delegation=delegation,
        undelegated=tuple(undelegated(model, delegation.inside)),
        violations=tuple(integer_violations(model)),
        inputs=_ends(graph, inputs, graph.inputs),
        outputs=_ends(graph, outputs, graph.outputs),
    )


def _deflated_bytes(content: bytes) -> int:
    return len(zlib.compress(content, 9))


def _layers(model: Any, graph: Any, on_xnnpack: set[int]) -> list[LayerReport]:
    makers = flatbuffer.producers(graph)
    # The sizes of each buffer, as it is and in a zip. Any number of layers may share a buffer, and
    # in a forged file they may be many.
    sizes: dict[int, tuple[int, int]] = {}
    layers = []
    for number, operator in enumerate(graph.operators):
        name = flatbuffer.operator_name(model, operator)
        data = _DATA_INPUT.get(name, 0)
        if name not in _LAYERS or len(operator.inputs) <= max(data, _KERNEL_INPUT):
            continue
        if not len(operator.outputs) or operator.inputs[_KERNEL_INPUT] < 0:
            continue
        if sums_channels(model, graph, operator) or ramp_levels(graph, operator):
            continue
        kernel = graph.tensors[operator.inputs[_KERNEL_INPUT]]
        scales = len(flatbuffer.scales_of(kernel))
        comparators, before = _comparators(model, graph, int(operator.inputs[data]), makers)
        if kernel.buffer not in sizes:
            stored = flatbuffer.buffer_bytes(model, kernel)
            sizes[kernel.buffer] = len(stored), _deflated_bytes(stored) if stored else 0
        layers.append(
            LayerReport(
                operator=name,
                name=flatbuffer.text(graph.tensors[operator.outputs[0]].name),
                kernel_type=flatbuffer.type_name(kernel),
                kernel_bits=flatbuffer.type_bits(kernel),
                kernel_shape=flatbuffer.shape_of(kernel),
                kernel_bytes=sizes[kernel.buffer][0],
                kernel_deflated_bytes=sizes[kernel.buffer][1],
                scales=('none', 'per tensor', 'per channel')[min(scales, 2)],
                comparators=comparators,
                parameters=_parameters(model, graph, operator, data),
                multiply_adds=_multiply_adds(graph, operator, name),
                operators=1 + before,
                on_xnnpack=number in on_xnnpack,
            )
        )
    return layers


def _parameters(model: Any, graph: Any, operator: Any, data: int) -> int:
    """Returns the number of values in an operator's kernel and bias.

    The constant shape of a TRANSPOSE_CONV does not count.
    """
    constants = [graph.tensors[index] for index in operator.inputs[_KERNEL_INPUT:] if index >= 0]
    if data:
        del constants[data - _KERNEL_INPUT]
    return sum(
        math.prod(flatbuffer.shape_of(tensor))
        for tensor in constants
        if flatbuffer.is_constant(model, tensor)
    )


def _multiply_adds(graph: Any, operator: Any, name: str) -> int:
    """Returns the number of products that an operator adds up for one image.

    Each output value takes one product per value of its channel's kernel. In a TRANSPOSE_CONV,
    each input value does.
    """
    kernel = flatbuffer.shape_of(graph.tensors[operator.inputs[_KERNEL_INPUT]])
    index = operator.inputs[_DATA_INPUT[name]] if name in _DATA_INPUT else operator.outputs[0]
    shape = flatbuffer.shape_of(graph.tensors[index]) if index >= 0 else (0,)
    # The first axis is the batch if it is as long as that of the inputs.
    batches = {flatbuffer.shape_of(graph.tensors[each])[:1] for each in graph.inputs}
    values = math.prod(shape[1:] if len(shape) > 1 and {shape[:1]} == batches else shape)
    # The channels come last in these two kernels, and the output channels first in the others.
    channels = kernel[-1] if name in ('DEPTHWISE_CONV_2D', 'TRANSPOSE_CONV') else kernel[0]
    return values * (math.prod(kernel) // channels) if channels else 0


def _comparators(model: Any, graph: Any, index: int, makers: dict[int, Any]) -> tuple[int, int]:
    """Counts the comparators that add up to a tensor, and all operators that belong to the sum.

    A ramp or a chain counts as one comparator per level. If the tensor is no sum of comparators,
    there are 0 comparators, and only the operators right in front of the layer that move numbers
    are counted.

    Args:
        model: A `ModelT`.
        graph: The subgraph of the tensor.
        index: The index of the tensor that a layer reads.
        makers: The operator that computes each tensor, from `flatbuffer.producers`.
    """
    pending, comparators, is_sum = [index], 0, True
    seen: set[int] = set()
    moving: set[int] = set()
    while pending:
        index = pending.pop()
        maker = makers.get(index)
        if maker is None:
            # A constant is the base of a sum of comparators. The input of the model is no term.
            is_sum &= index >= 0 and flatbuffer.is_constant(model, graph.tensors[index])
            continue
        if id(maker) in seen:
            continue
        name = flatbuffer.operator_name(model, maker)
        if name == 'SUB' and _saturates(graph, maker):
            comparators += 1
        elif levels := ramp_levels(graph, maker):
            comparators += levels
            # A ramp that ends with a MUL begins with a SUB, which belongs to it.
            seen.update(id(makers.get(int(i))) for i in maker.inputs[:1] if name == 'MUL')
        elif chain := written_chain(model, graph, maker, makers):
            comparators += chain.levels
            seen.update(id(each) for each in chain.operators)
        elif name == 'ADD':
            pending.extend(int(source) for source in maker.inputs)
        elif name in _MOVING or sums_channels(model, graph, maker):
            moving.add(id(maker))
            images = maker.inputs if name == 'CONCATENATION' else maker.inputs[:1]
            pending.extend(int(source) for source in images)
        else:
            is_sum = False
            continue
        seen.add(id(maker))
    return (comparators, len(seen)) if is_sum else (0, len(moving))


def _saturates(graph: Any, operator: Any) -> bool:
    """Tells whether a subtraction is a comparator, in which a difference of 1 spans all of int8."""
    operands = [graph.tensors[index] for index in operator.inputs]
    output = graph.tensors[operator.outputs[0]]
    scales = [flatbuffer.scales_of(tensor) for tensor in (*operands, output)]
    if any(len(scale) != 1 for scale in scales) or flatbuffer.zero_point_of(output) != -128:
        return False
    return all(254.5 < float(scale[0]) / float(scales[-1][0]) < 255.5 for scale in scales[:-1])


def _constant_bytes(model: Any) -> dict[str, int]:
    held: dict[int, str] = {}
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            held.setdefault(int(tensor.buffer), flatbuffer.type_name(tensor))
    sizes: collections.Counter[str] = collections.Counter()
    for buffer, name in held.items():
        data = model.buffers[buffer].data
        if data is not None and len(data):
            sizes[name] += len(data)
    return dict(sizes.most_common())


def _ends(graph: Any, names: list[str], indices: Any) -> tuple[TensorReport, ...]:
    return tuple(
        _end(name, graph.tensors[index]) for name, index in zip(names, indices, strict=True)
    )


def _end(name: str, tensor: Any) -> TensorReport:
    scales = flatbuffer.scales_of(tensor)
    return TensorReport(
        name=name,
        type=flatbuffer.type_name(tensor),
        shape=flatbuffer.shape_of(tensor),
        scale=float(scales[0]) if len(scales) else None,
        zero_point=flatbuffer.zero_point_of(tensor) if len(scales) else None,
    )
