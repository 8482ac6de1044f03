"""Where the 8-bit ranges of an integer network belong."""

from __future__ import annotations

import tf_keras as keras

from tf_n2uq.graph.graph import Graph, Ref, Step
from tf_n2uq.graph.layer_kinds import Kind, function_name, fuses_as_relu, kind_of
from tf_n2uq.layers import Quantize, QuantizedKernel
from tf_n2uq.quantizers import FixedRangeQuantizer, RangeQuantizer
from tf_n2uq.schemes.rewrite.assignment import Assignment

_WITH_RANGE = (
    Kind.KERNEL,
    Kind.NORMALIZATION,
    Kind.SUM,
    Kind.PRODUCT,
    Kind.ELEMENTWISE,
    Kind.SOFTMAX,
    Kind.NEW_RANGE,
)
# TFLite's operators for the first three write in one scale only.
_FIXED_RANGES: dict[str, tuple[float, float]] = {
    'sigmoid': (0.0, 255 / 256),
    'softmax': (0.0, 255 / 256),
    'tanh': (-1.0, 127 / 128),
    # One half, which zeros give, and one are whole steps; above one there is nothing.
    'hard_sigmoid': (-1 / 254, 1.0),
    'hard_sigmoid_6': (-1 / 254, 1.0),
}


def place_ranges(graph: Graph, assignment: Assignment, bits: int) -> None:
    """Puts a range quantizer behind every tensor that is an int8 tensor in the TFLite file.

    No range is needed where TFLite fuses (batch normalization into the kernel before it, ReLU
    into the operator before it), where numbers only move (pooling of maxima, padding, reshaping),
    and between an element-wise layer and the thresholds that it feeds: both become one set of
    comparators.

    Args:
        graph: the graph, changed in place; thresholds and kernels are in it already.
        assignment: which steps may be touched.
        bits: bit-width of the ranges.
    """
    steps = [step for step in graph.in_order() if step.name in assignment.annotated]
    for step in steps:
        if _needs_range(graph, step, assignment):
            _add_range(graph, step.output, step.name, bits)
        _fix_range(graph, step, bits)
    for step in steps:
        if kind_of(step.layer) in _WITH_RANGE and fused_into(graph, step) is None:
            # A product of a tensor with itself reads it twice.
            for ref in dict.fromkeys(step.inputs):
                _ensure_range(graph, ref, bits)


def _needs_range(graph: Graph, step: Step, assignment: Assignment) -> bool:
    kind = kind_of(step.layer)
    if kind not in _WITH_RANGE or any(map(is_range, graph.consumers(step.output))):
        return False
    if kind is Kind.SOFTMAX and graph.is_output(step.output):
        return False  # TFLite gives probabilities the scale 1/256
    if kind in (Kind.ELEMENTWISE, Kind.NORMALIZATION) and folds_into_thresholds(graph, step):
        # A fused ReLU costs nothing, and its range is the better half of what is before it.
        return fused_into(graph, step) is not None
    follower = _only_reader(graph, step)
    return not (
        follower is not None
        and follower.name in assignment.annotated
        and fused_into(graph, follower) is step
    )


def fused_into(graph: Graph, step: Step) -> Step | None:
    """Returns the step whose TFLite operator also does the work of `step`, if there is one."""
    if len(step.inputs) != 1:
        return None
    producer = graph.producer(step.inputs[0])
    if _only_reader(graph, producer) is not step:
        return None
    kind = kind_of(producer.layer)
    if kind_of(step.layer) is Kind.NORMALIZATION:
        return producer if kind is Kind.KERNEL else None
    if not fuses_as_relu(step.layer):
        return None
    behind = fused_into(graph, producer)
    if _is_transposed((behind or producer).layer):
        return None  # pixels are put in their places in between
    if kind is Kind.NORMALIZATION and behind is None:
        # Alone, the normalization would become an operator only to carry this ReLU.
        return None if folds_into_thresholds(graph, step) else producer
    return producer if kind in (Kind.KERNEL, Kind.SUM, Kind.NORMALIZATION) else None


def _is_transposed(layer: keras.layers.Layer) -> bool:
    inner = layer.layer if isinstance(layer, QuantizedKernel) else layer
    return isinstance(inner, keras.layers.Conv2DTranspose)


def folds_into_thresholds(graph: Graph, step: Step) -> bool:
    """Tells whether a step and the thresholds that it feeds are one function per channel.

    That holds for an element-wise layer, or a batch normalization that no kernel absorbs, if
    nothing but thresholds reads it, directly or through more such layers.
    """
    kind = kind_of(step.layer)
    if kind is Kind.NORMALIZATION:
        if fused_into(graph, step) is not None:
            return False
    elif kind is not Kind.ELEMENTWISE:
        return False
    readers = graph.consumers(step.output)
    return (
        bool(readers)
        and not graph.is_output(step.output)
        and all(is_thresholds(reader) or folds_into_thresholds(graph, reader) for reader in readers)
    )


def is_thresholds(step: Step) -> bool:
    """Tells whether a step maps numbers to levels."""
    return isinstance(step.layer, Quantize) and not is_range(step)


def is_range(step: Step) -> bool:
    """Tells whether a step is an 8-bit range."""
    return isinstance(step.layer, Quantize) and isinstance(step.layer.quantizer, RangeQuantizer)


def _only_reader(graph: Graph, step: Step) -> Step | None:
    readers = graph.consumers(step.output)
    return readers[0] if len(readers) == 1 and not graph.is_output(step.output) else None


def _ensure_range(graph: Graph, ref: Ref, bits: int) -> None:
    """Gives an input of a quantized layer its range if what makes it has not been annotated."""
    producer = graph.producer(ref)
    while producer.inputs and _passes_on(graph, producer):
        (ref,) = producer.inputs
        producer = graph.producer(ref)
    if kind_of(producer.layer) is not Kind.QUANTIZE:
        _add_range(graph, ref, producer.name, bits)


def _passes_on(graph: Graph, step: Step) -> bool:
    return (
        kind_of(step.layer) is Kind.SAME_SCALE
        or is_thresholds(step)
        or folds_into_thresholds(graph, step)
    )


def _fix_range(graph: Graph, step: Step, bits: int) -> None:
    """Replaces a trained range by the only one that the function in front of it has.

    Such a range stands behind a layer that training left in float, with the function inside it.
    """
    fixed = _FIXED_RANGES.get(function_name(step.layer))
    if fixed is None:
        return
    for reader in graph.consumers(step.output):
        if is_range(reader) and not isinstance(reader.layer.quantizer, FixedRangeQuantizer):
            quantizer = FixedRangeQuantizer(*fixed, bits)
            reader.replace(Quantize(quantizer, name=reader.name), *reader.args)


def _add_range(graph: Graph, ref: Ref, name: str, bits: int) -> Step:
    fixed = _FIXED_RANGES.get(function_name(graph.producer(ref).layer))
    quantizer = RangeQuantizer(bits) if fixed is None else FixedRangeQuantizer(*fixed, bits)
    return graph.insert_after(ref, Quantize(quantizer, name=f'{name}_range'))
