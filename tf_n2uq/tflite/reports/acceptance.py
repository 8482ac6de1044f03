"""What a converted file must be before it is handed over."""

from __future__ import annotations

import collections
from collections.abc import Collection
from typing import Any

from absl import logging

from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.reports.undelegated import undelegated
from tf_n2uq.tflite.reports.verify import check_integer_only, integer_violations
from tf_n2uq.tflite.running.interpreter import Delegation, xnnpack_delegation

# What may follow XNNPACK's one partition: probabilities, and what turns a result into another type.
_AT_THE_END = ('SOFTMAX', 'QUANTIZE', 'DEQUANTIZE')

# An interpreter without XNNPACK has no partition.
_NOT_CHECKED = (
    'XNNPACK computes nothing of the file on this machine, as far as its interpreter tells. So '
    'whether XNNPACK runs the file as one partition has not been checked. Call '
    'tf_n2uq.tflite.inspect where XNNPACK is.'
)


def check_integer_file(file: Any, content: bytes, target: str) -> None:
    """Raises unless a file loads, computes in integers, and, if for XNNPACK, runs there as one.

    Args:
        file: The `ModelT`.
        content: Its bytes.
        target: 'xnnpack' or 'micro'.

    Raises:
        ValueError: It does not. The message names the operators.
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
            'The TFLite file must run on XNNPACK as one partition, but these operators interrupt '
            f'it:\n  {listed}\nChange these layers, or let the file have them with '
            'allow_float=True; it is right either way, but slower.'
        )


def warn_of_float_file(file: Any, content: bytes, target: str) -> None:
    """Logs a warning of what in a file is float, or interrupts XNNPACK.

    Args:
        file: The `ModelT`.
        content: Its bytes.
        target: 'xnnpack' or 'micro'.

    Raises:
        ValueError: The file does not load.
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
            'model: the TFLite file that was made of it does not load in the interpreter. Look for '
            'ranges and scales that are far larger or smaller than their neighbours (a layer that '
            f'has not seen data, a training that diverged); calibrate and train again. {error}'
        ) from error


def interrupting(file: Any, inside: Collection[int]) -> list[str]:
    """Lists the operators that XNNPACK leaves out although others of its follow.

    Args:
        file: The `ModelT`.
        inside: Numbers of the operators that XNNPACK takes.

    Returns:
        One line per kind of operator: how many there are, where the first is, and the reason.
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
        if name in _AT_THE_END and all(reader in at_the_end for reader in after):
            at_the_end.add(number)
        elif number not in inside and not at_the_start:
            places[name].append(flatbuffer.text(graph.tensors[operator.outputs[0]].name))
    reasons = {each.operator: each.reason for each in undelegated(file, inside)}
    return [
        f'{len(names)} {operator}, first {names[-1]!r}: {reasons[operator]}'
        for operator, names in places.items()
    ]
