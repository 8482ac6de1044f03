"""The steps of a network that stay in float, and the inputs and outputs next to them."""

from __future__ import annotations

from collections.abc import Collection

import tensorflow as tf

from tf_n2uq.graph.decisions import Decisions
from tf_n2uq.graph.graph import Graph, Step
from tf_n2uq.layers.layer_spec import KEEPING_SCALE


def find_float_steps(graph: Graph, decisions: Decisions) -> frozenset[str]:
    """Finds the steps that no integer operator computes.

    Steps that only move numbers stay in float with the float step in front of them, or with the
    float steps that read them if they are at the beginning of the network.

    Args:
        graph: a quantized graph in which every tensor that can be integer has a range.
        decisions: the decisions about the graph.

    Returns:
        The names of the steps.
    """
    order = graph.in_order()
    found: set[str] = set()
    for step in order:
        if step.inputs and (_is_float(step, decisions) or _moves(step, decisions, found)):
            found.add(step.name)
    inputs = {ref.step for ref in graph.inputs}
    first = {step.name for step in order if step.name in inputs}
    for step in order:
        if step.inputs and _moves(step, decisions, first):
            first.add(step.name)
    for step in reversed(order):
        readers = graph.consumers(step.output)
        is_inside = bool(readers) and all(reader.name in found for reader in readers)
        if step.inputs and step.name in first and is_inside and not graph.is_output(step.output):
            found.add(step.name)
    return frozenset(found)


def _is_float(step: Step, decisions: Decisions) -> bool:
    without_operator = decisions.stands_alone(step) and step.spec.form is None
    return decisions.kinds[step.name] is None or without_operator


def _moves(step: Step, decisions: Decisions, sources: Collection[str]) -> bool:
    """Tells whether a step only moves numbers, all of which come from some other steps."""
    moves = decisions.kinds[step.name] in KEEPING_SCALE
    return moves and all(ref.step in sources for ref in step.inputs)


def input_types(graph: Graph, floats: Collection[str]) -> list[tf.DType]:
    """Returns the types of the inputs of a file.

    Args:
        graph: the graph of the network.
        floats: the names of the steps that stay in float.

    Returns:
        The type of each input, in order: that of the Keras input for integers that a float step
        reads, such as the words of an `Embedding`, and else float32.
    """
    found = []
    for ref in graph.inputs:
        dtype = graph.specs[ref].dtype
        is_read_in_float = any(step.name in floats for step in graph.consumers(ref))
        found.append(dtype if is_read_in_float and not dtype.is_floating else tf.float32)
    return found


def float_ends(graph: Graph, floats: Collection[str]) -> tuple[dict[int, str], dict[int, str]]:
    """Finds the inputs and outputs that are float in any file, as a float step is next to them.

    Args:
        graph: the graph of the network.
        floats: the names of the steps that stay in float.

    Returns:
        The name of a float step that reads each such input, by the number of the input; and the
        name of the float step that makes each such output, by the number of the output.
    """
    readers = {
        number: step.name
        for number, ref in enumerate(graph.inputs)
        for step in graph.consumers(ref)
        if step.name in floats
    }
    outputs = enumerate(tf.nest.flatten(graph.outputs))
    return readers, {number: ref.step for number, ref in outputs if ref.step in floats}
