"""Which layers one operator of an integer file does the work of.

These rules are for the rewrite, which changes a graph while it asks, and for `decide`. Everyone
else reads the `Decisions`.
"""

from __future__ import annotations

from tf_n2uq.graph.graph import Graph, Step
from tf_n2uq.graph.quantizer_steps import is_thresholds
from tf_n2uq.layers import QuantizedKernel
from tf_n2uq.layers.layer_spec import Kind


def fused_into(graph: Graph, step: Step) -> Step | None:
    """Returns the step whose TFLite operator also does the work of `step`, if there is one.

    Args:
        graph: the graph.
        step: a step of it.
    """
    if len(step.inputs) != 1:
        return None
    producer = graph.producer(step.inputs[0])
    if step.kind is Kind.NORMALIZATION:
        return producer if _takes_on_line(graph, producer, step) else None
    if only_reader(graph, producer) is not step or not step.spec.fuses_as_relu:
        return None
    behind = fused_into(graph, producer)
    if not (behind or producer).spec.takes_on_relu:
        return None
    if producer.kind is Kind.NORMALIZATION and behind is None:
        # Alone, the normalization would become an operator only to carry this ReLU.
        return None if folds_into_thresholds(graph, step) else producer
    return producer


def _takes_on_line(graph: Graph, producer: Step, step: Step) -> bool:
    if producer.kind is not Kind.KERNEL:
        return False
    if isinstance(producer.layer, QuantizedKernel) and producer.layer.role is not None:
        # Decided before; what has been made of the model since then does not change it.
        return producer.layer.role.line == step.layer.name
    return only_reader(graph, producer) is step


def folds_into_thresholds(graph: Graph, step: Step) -> bool:
    """Tells whether a step and the thresholds that it feeds are one function per channel.

    That holds for an element-wise layer, or a line per channel that no kernel takes on, if
    nothing but thresholds reads it, directly or through more such layers.

    Args:
        graph: the graph.
        step: a step of it.
    """
    kind = step.kind
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


def only_reader(graph: Graph, step: Step) -> Step | None:
    """Returns the step that alone reads what a step returns; None if the model returns it too."""
    readers = graph.consumers(step.output)
    return readers[0] if len(readers) == 1 and not graph.is_output(step.output) else None
