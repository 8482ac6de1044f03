"""The checks that a converted file passes before the user gets it."""

from __future__ import annotations

import collections
from collections.abc import Collection
from typing import Any

from absl import logging

from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.reports.undelegated import undelegated
from tf_n2uq.tflite.reports.verify import check_integer_only, integer_violations
from tf_n2uq.tflite.running.interpreter import Delegation, xnnpack_delegation

# The operators that may follow XNNPACK's one partition. They compute probabilities, or turn a
# result into another type.
_ALLOWED_AT_THE_END = ('SOFTMAX', 'QUANTIZE', 'DEQUANTIZE')

# The warning for a machine whose interpreter has no XNNPACK, so that there is no partition.
_NOT_CHECKED = (
    'XNNPACK computes nothing of the file on this machine, as far as its interpreter tells. So '
    'whether XNNPACK runs the file as one partition has not been checked. Call '
    'tf_n2uq.tflite.inspect on a machine with XNNPACK.'
)


def check_integer_file(file: Any, content: bytes, target: str) -> None:
    """Raises an error unless a file loads and computes in integers.

    A file for XNNPACK must also be one XNNPACK partition.

    Args:
        file: The file as a `ModelT`.
        content: The bytes of the file.
        target: 'xnnpack' or 'micro'.

    Raises:
        ValueError: If the file fails a check. The message names the operators.
    """
    check_integer_only(file)
    delegation = _delegation_of(content)
    if target != 'xnnpack':
        return
    if delegation.partitions == 0:
        logging.warning(_NOT_CHECKED)
        return
    breaking = interrupting(file, delegation.inside)
    if breaking:
        listed = '\n  '.join(breaking)
        raise ValueError(
            'model: expected layers that run on XNNPACK as one partition, got operators that '
            f'interrupt the partition:\n  {listed}\nChange these layers, or keep them with '
            'allow_float=True: the file then gives the right results, but more slowly.'
        )


def warn_of_float_file(file: Any, content: bytes, target: str) -> None:
    """Logs a warning that names the operators of a file that are float or interrupt XNNPACK.

    Args:
        file: The file as a `ModelT`.
        content: The bytes of the file.
        target: 'xnnpack' or 'micro'.

    Raises:
        ValueError: If the file does not load.
    """
    found, delegation = integer_violations(file), _delegation_of(content)
    if target == 'xnnpack' and delegation.partitions == 0:
        logging.warning(_NOT_CHECKED)
    elif target == 'xnnpack':
        found += interrupting(file, delegation.inside)
    if found:
        logging.warning(
            'The TFLite file is not integer-only, or not one XNNPACK partition, because of:\n  %s',
            '\n  '.join(found),
        )


def _delegation_of(content: bytes) -> Delegation:
    try:
        return xnnpack_delegation(content)
    except ValueError as error:
        raise ValueError(
            'model: expected a model whose TFLite file loads, got a file that does not load in the '
            'interpreter. Look for ranges and scales that are far larger or smaller than their '
            'neighbours, as those of a layer without data or of a diverged training are. Then '
            f'calibrate and train again. {error}'
        ) from error


def interrupting(file: Any, inside: Collection[int]) -> list[str]:
    """Lists the operators that interrupt XNNPACK.

    XNNPACK does not compute such an operator, although it computes others behind it.

    Args:
        file: The file as a `ModelT`.
        inside: The numbers of the operators that XNNPACK computes.

    Returns:
        One line per kind of operator, with the number of operators, the tensor that the first one
        writes, and the reason.
    """
    graph = flatbuffer.main_graph(file)
    readers = flatbuffer.consumers(graph)
    numbers = {id(operator): number for number, operator in enumerate(graph.operators)}
    at_the_end: set[int] = set()
    places: dict[str, list[str]] = collections.defaultdict(list)
    for number, operator in reversed(list(enumerate(graph.operators))):
        name = flatbuffer.operator_name(file, operator)
        after = [
            numbers[id(reader)]
            for output in operator.outputs
            for reader in readers.get(int(output), [])
        ]
        at_the_start = name == 'QUANTIZE' and int(operator.inputs[0]) in graph.inputs
        if name in _ALLOWED_AT_THE_END and all(reader in at_the_end for reader in after):
            at_the_end.add(number)
        elif number not in inside and not at_the_start:
            places[name].append(flatbuffer.text(graph.tensors[operator.outputs[0]].name))
    reasons = {each.operator: each.reason for each in undelegated(file, inside)}
    return [
        f'{len(names)} {operator}, first {names[-1]!r}: {reasons[operator]}'
        for operator, names in places.items()
    ]
