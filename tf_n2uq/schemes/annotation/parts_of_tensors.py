"""Rules for TensorFlow functions that take tensors apart and put them together."""

from __future__ import annotations

import dataclasses
from typing import Any

import tf_keras as keras

from tf_n2uq.graph.graph import Graph, Ref, Step
from tf_n2uq.layers import Slice
from tf_n2uq.schemes.annotation.operation import Call, Operation, constant_of

_LAYERS = keras.layers
_WHOLE = {'start': None, 'stop': None, 'step': None}
_Shape = tuple[int | None, ...]


@dataclasses.dataclass(frozen=True)
class _Taken:
    """What a slice takes of a tensor.

    Attributes:
        parts: for each axis, the indices that are taken; None for all indices.
        reshapes: whether the result has other axes than the tensor.
    """

    parts: list[range | None]
    reshapes: bool


def slice_rule(call: Operation) -> Call | None:
    """Replaces slices of any axes but that of the batch."""
    tensor = call['tensor']
    shape = call.shape(tensor)
    taken = _taken(call['slice_spec'], shape)
    if taken is None or taken.parts[0] is not None:
        return None
    if not taken.reshapes:
        return _sliced(call, tensor, shape, taken.parts)
    after = tuple(call.output.shape)[1:]
    if not after or None in after:
        return None
    if any(taken.parts):
        slicing = Slice(*_slice_arguments(taken.parts), name=f'{call.step.name}_slice')
        step = call.graph.add(slicing, tensor)
        step.origin, tensor = call.step.origin, step.output
    return call.layer(_LAYERS.Reshape, after), tensor


def stack_rule(call: Operation) -> Call | None:
    """Replaces a stack along any axis but the first one by a concatenation."""
    values, axis, result = list(call['values']), call['axis'], tuple(call.output.shape)
    if not call.have_one_rank(values) or not isinstance(axis, int):
        return None
    axis %= len(result)
    expanded = (*result[1:axis], 1, *result[axis + 1 :])
    if axis == 0 or None in expanded:
        return None
    refs = [
        call.first(ref, f'part_{index}', _LAYERS.Reshape, expanded)
        for index, ref in enumerate(values)
    ]
    return call.layer(_LAYERS.Concatenate, axis=axis), refs


def replace_split(step: Step, graph: Graph) -> None:
    """Replaces `tf.split` or `tf.unstack` by a slice for each result, in place.

    Args:
        step: the call, which stays if no slices compute the same.
        graph: the graph of the call.
    """
    call = Operation.of(step, graph)
    tensor, axis = call['value'], constant_of(call['axis'])
    if not isinstance(tensor, Ref) or axis is None or axis.size != 1:
        return
    shape = graph.shape(tensor)
    place = int(axis.item()) % len(shape)
    results = sorted((ref for ref in graph.specs if ref.step == step.name), key=lambda r: r.index)
    is_split = 'num_or_size_splits' in call.arguments
    sizes = [graph.shape(ref)[place] if is_split else 1 for ref in results]
    known = [size for size in sizes if size is not None]
    if place == 0 or len(known) < len(sizes):
        return
    start = 0
    for ref, size in zip(results, known, strict=True):
        parts: list[range | None] = [None] * len(shape)
        parts[place] = range(start, start + size)
        start += size
        _replace_result(call, ref, tensor, parts)


def _replace_result(call: Operation, ref: Ref, tensor: Ref, parts: list[range | None]) -> None:
    graph, after = call.graph, call.graph.shape(ref)
    if len(after) != len(parts) and None in after[1:]:
        return
    result = call.first(tensor, f'part_{ref.index}', Slice, *_slice_arguments(parts))
    if len(after) != len(parts):
        result = call.first(result, f'shape_{ref.index}', _LAYERS.Reshape, after[1:])
    graph.specs[result] = graph.specs[ref]
    graph.redirect(ref, result)


def _sliced(call: Operation, tensor: Ref, shape: _Shape, parts: list[range | None]) -> Call:
    """Returns a layer of Keras for rows and columns of an image, and a `Slice` for all else."""
    whole = [
        range(size) if part is None and size else part
        for size, part in zip(shape, parts, strict=True)
    ]
    if len(shape) == 4 and parts[3] is None and None not in whole[1:3]:
        ranges = [part for part in whole[1:3] if part is not None]
        steps = tuple(part.step for part in ranges)
        borders = tuple(
            (part.start, size - part.stop)
            for part, size in zip(ranges, shape[1:3], strict=True)
            if size is not None
        )
        if steps == (1, 1):
            return call.layer(_LAYERS.Cropping2D, borders, data_format='channels_last'), tensor
        if borders == ((0, 0), (0, 0)):
            # A pooling with windows of one pixel takes the pixels at the steps.
            pooling = call.layer(_LAYERS.MaxPooling2D, 1, steps, data_format='channels_last')
            return pooling, tensor
    return call.layer(Slice, *_slice_arguments(parts)), tensor


def _slice_arguments(parts: list[range | None]) -> tuple[list[int], list[int | None], list[int]]:
    """Returns `starts`, `counts` and `steps` of a `Slice`, for the axes behind the batch."""
    starts = [0 if part is None else part.start for part in parts[1:]]
    counts = [None if part is None else len(part) for part in parts[1:]]
    steps = [1 if part is None else part.step for part in parts[1:]]
    return starts, counts, steps


def _taken(spec: Any, shape: _Shape) -> _Taken | None:
    """Returns what a slice takes, or None for one that no layer takes.

    Args:
        spec: what stands between the brackets, with dictionaries for slices.
        shape: the shape of the tensor.
    """
    entries = list(spec) if isinstance(spec, (list, tuple)) else [spec]
    named = [entry for entry in entries if entry is not None and entry is not Ellipsis]
    missing = [_WHOLE] * (len(shape) - len(named))
    places = [index for index, entry in enumerate(entries) if entry is Ellipsis] or [len(entries)]
    entries[places[0] : places[0] + 1] = missing
    axes = [entry for entry in entries if entry is not None]
    parts: list[range | None] = []
    for entry, size in zip(axes, shape, strict=True):
        if entry == _WHOLE:
            parts.append(None)
            continue
        part = _indices(entry, size)
        if part is None or not part or part.step < 0:
            return None
        parts.append(None if part == range(size or 0) else part)
    drops = any(not isinstance(entry, dict) for entry in axes)
    return _Taken(parts, drops or len(axes) < len(entries))


def _indices(entry: Any, size: int | None) -> range | None:
    """Returns the indices that one entry takes of an axis, or None where that is not known."""
    if size is None:
        return None
    if isinstance(entry, dict):
        bounds = [entry['start'], entry['stop'], entry['step']]
        if all(bound is None or isinstance(bound, int) for bound in bounds):
            return range(size)[slice(*bounds)]
        return None
    if not isinstance(entry, int) or not -size <= entry < size:
        return None
    return range(entry % size, entry % size + 1)
