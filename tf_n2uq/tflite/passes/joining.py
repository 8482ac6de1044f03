"""Joining of two files whose subgraphs read tensors of each other."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Sequence
from typing import Any

from tf_n2uq.tflite.passes import flatbuffer

# The attributes by which operators that run subgraphs name these subgraphs.
_SUBGRAPHS = (
    *('bodySubgraphIndex', 'condSubgraphIndex', 'thenSubgraphIndex', 'elseSubgraphIndex'),
    *('initSubgraphIndex', 'subgraph', 'decompositionSubgraphIndex'),
)


@dataclasses.dataclass(frozen=True)
class FilePart:
    """A file that is a part of another file.

    Attributes:
        model: A `ModelT`.
        inputs: A name for each input of the file, in order.
        outputs: A name for each output of the file, in order. An input of another part that has the
            same name is this tensor.
    """

    model: Any
    inputs: Sequence[Hashable]
    outputs: Sequence[Hashable]


def join(
    first: FilePart,
    second: FilePart,
    inputs: Sequence[Hashable],
    outputs: Sequence[Hashable],
) -> Any:
    """Makes one file of two.

    Args:
        first: One part, whose `ModelT` is changed.
        second: The other part, whose `ModelT` is used up.
        inputs: The names of the inputs of the joined file, each of which is an input of a part.
        outputs: The names of the outputs of the joined file.

    Returns:
        The `ModelT` of the first part, which computes the second one as well. It has no signature.
    """
    model = first.model
    main, added = (flatbuffer.main_graph(part.model) for part in (first, second))
    # The first tensors of the joined graph are those of the first part.
    offset = len(main.tensors)
    _move_tables(model, second.model)
    main.tensors.extend(added.tensors)
    _renumber(added, offset)
    made = dict(zip(first.outputs, map(int, main.outputs), strict=True))
    made.update(zip(second.outputs, map(int, added.outputs), strict=True))
    given: dict[Hashable, int] = {}
    same: dict[int, int] = {}
    for part, graph in ((first, main), (second, added)):
        for name, index in zip(part.inputs, map(int, graph.inputs), strict=True):
            target = made[name] if name in made else given.setdefault(name, index)
            if target != index:
                same[index] = target

    def final(index: int) -> int:
        while index in same:
            index = same[index]
        return index

    operators = [*main.operators, *added.operators]
    for operator in operators:
        operator.inputs = [final(int(index)) for index in operator.inputs]
    main.operators = _in_order(operators)
    main.inputs = [given[name] for name in inputs]
    main.outputs = [final(made[name] if name in made else given[name]) for name in outputs]
    model.signatureDefs = None
    flatbuffer.drop_unused(model)
    return model


def _move_tables(model: Any, other: Any) -> None:
    """Gives a file the buffers, operator codes and inner subgraphs of another file."""
    buffers, codes, graphs = (
        len(table) for table in (model.buffers, model.operatorCodes, model.subgraphs)
    )
    model.buffers.extend(other.buffers)
    model.operatorCodes.extend(other.operatorCodes)
    model.subgraphs.extend(other.subgraphs[1:])
    for graph in other.subgraphs:
        for tensor in graph.tensors:
            # Buffer 0 is empty in every file, for tensors that the interpreter computes.
            tensor.buffer = tensor.buffer + buffers if tensor.buffer else 0
        for operator in graph.operators:
            operator.opcodeIndex += codes
            for options in (operator.builtinOptions, operator.builtinOptions2):
                for attribute in _SUBGRAPHS:
                    # The main graph of the other file becomes a part of this one's.
                    if getattr(options, attribute, 0) > 0:
                        setattr(options, attribute, getattr(options, attribute) + graphs - 1)


def _renumber(graph: Any, offset: int) -> None:
    """Lets the operators and ends of a subgraph name tensors by larger numbers."""

    def moved(indices: Any) -> list[int]:
        # Operators name an operand that is left out by −1.
        return [int(index) + offset if index >= 0 else int(index) for index in indices]

    graph.inputs, graph.outputs = moved(graph.inputs), moved(graph.outputs)
    for operator in graph.operators:
        operator.inputs, operator.outputs = moved(operator.inputs), moved(operator.outputs)
        if operator.intermediates is not None:
            operator.intermediates = moved(operator.intermediates)


def _in_order(operators: list[Any]) -> list[Any]:
    """Returns operators, each behind those whose results it reads, and else in their order."""
    makers = {int(index): operator for operator in operators for index in operator.outputs}
    done: set[int] = set()
    order: list[Any] = []
    for last in operators:
        stack = [last]
        while stack:
            operator = stack[-1]
            missing = [
                makers[index]
                for index in operator.inputs
                if index in makers and id(makers[index]) not in done
            ]
            if missing and id(operator) not in done:
                stack.extend(missing)
                continue
            stack.pop()
            if id(operator) not in done:
                done.add(id(operator))
                order.append(operator)
    return order
