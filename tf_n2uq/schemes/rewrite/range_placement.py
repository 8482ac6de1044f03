"""The placement of 8-bit ranges in the graph of an integer network."""

from __future__ import annotations

from tf_n2uq.graph.fusing import Fusing, find_fusing
from tf_n2uq.graph.graph import Graph, Ref, Step
from tf_n2uq.graph.quantizer_steps import is_range, is_thresholds
from tf_n2uq.layers import Quantize
from tf_n2uq.layers.layer_spec import KEEPING_SCALE, Kind
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

_READS_RANGE = (*_WITH_RANGE, Kind.SAME_RANGE)


def place_ranges(graph: Graph, assignment: Assignment, bits: int) -> None:
    """Puts a range quantizer behind every tensor that is an int8 tensor in the TFLite file.

    No range is needed in these places:

    - between layers that TFLite fuses: a batch normalization with the kernel in front of it, or a
      ReLU with the operator in front of it;
    - behind layers that only move numbers: pooling of maxima, padding, reshaping;
    - behind layers that write in the range that they read;
    - between an operator and a quantizer whose levels the operator writes by itself;
    - between an element-wise layer and the thresholds behind it, because both become one set of
      comparators.

    Args:
        graph: the graph with its thresholds and quantized kernels, changed in place.
        assignment: the steps that may be changed.
        bits: the bit-width of the ranges.
    """
    steps = [step for step in graph.in_order() if step.name in assignment.annotated]
    fusing = find_fusing(graph)
    for step in steps:
        if _needs_range(graph, step, assignment, fusing):
            _add_range(graph, step.output, step.name, bits)
        _fix_range(graph, step, bits)
    fusing = find_fusing(graph)
    for step in steps:
        if fusing.kinds[step.name] in _READS_RANGE and step.name not in fusing.operators:
            # A product of a tensor with itself reads it twice.
            for ref in dict.fromkeys(step.inputs):
                _ensure_range(graph, ref, bits, fusing)


def _needs_range(graph: Graph, step: Step, assignment: Assignment, fusing: Fusing) -> bool:
    kind = fusing.kinds[step.name]
    readers = graph.consumers(step.output)
    has_scale = any(is_range(reader) or reader.name in fusing.level_writers for reader in readers)
    if kind not in _WITH_RANGE or has_scale:
        return False
    if kind is Kind.SOFTMAX and graph.is_output(step.output):
        return False  # TFLite gives probabilities the scale 1/256.
    if step.name in fusing.folded:
        # A fused ReLU costs nothing, and leaves only the positive half of the range in front of it.
        return step.name in fusing.operators
    follower = readers[0] if len(readers) == 1 else None
    return not (
        follower is not None
        and not graph.is_output(step.output)
        and follower.name in assignment.annotated
        and fusing.operators.get(follower.name) == step.name
    )


def _ensure_range(graph: Graph, ref: Ref, bits: int, fusing: Fusing) -> None:
    """Gives an input of a quantized layer a range if it has none yet.

    It has none if the layer that makes the input has not been annotated.
    """
    producer = graph.producer(ref)
    # Ranges that have just been added are the only steps of an unknown kind.
    kind = fusing.kinds.get(producer.name, Kind.QUANTIZE)
    while producer.inputs and (
        kind in KEEPING_SCALE or is_thresholds(producer) or producer.name in fusing.folded
    ):
        if producer.name in fusing.level_writers:
            return
        (ref,) = producer.inputs
        producer = graph.producer(ref)
        kind = fusing.kinds.get(producer.name, Kind.QUANTIZE)
    if kind is not Kind.QUANTIZE:
        _add_range(graph, ref, producer.name, bits)


def _fix_range(graph: Graph, step: Step, bits: int) -> None:
    """Replaces a trained range by a fixed range if the layer in front can have only one range.

    Such a trained range comes from a layer that was left in float in training, and that holds the
    function.
    """
    fixed = step.spec.fixed_range
    if fixed is None:
        return
    for reader in graph.consumers(step.output):
        if is_range(reader) and not isinstance(reader.layer.quantizer, FixedRangeQuantizer):
            quantizer = FixedRangeQuantizer(*fixed, bits)
            reader.replace(Quantize(quantizer, name=reader.name), *reader.args)


def _add_range(graph: Graph, ref: Ref, name: str, bits: int) -> Step:
    fixed = graph.producer(ref).spec.fixed_range
    quantizer = RangeQuantizer(bits) if fixed is None else FixedRangeQuantizer(*fixed, bits)
    return graph.insert_after(ref, Quantize(quantizer, name=f'{name}_range'))
