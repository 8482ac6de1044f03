"""Whether each part of a file computes what Keras computes of the same numbers.

A file and its Keras model need not agree at the end: where a number lies right between two levels,
float32 may round it to one side and the file to the other, and what follows departs from there.
Here Keras goes on, behind every quantizer, with what the file has there. So a difference is made
by the operators right in front of the quantizer that shows it.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.graph.graph import Ref, Step
from tf_n2uq.graph.quantizer_steps import is_range
from tf_n2uq.tflite import make_interpreter
from tf_n2uq.tflite.network.completion import complete
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.reports.matching import Match, match

# In levels. The most that has been seen of right files is 0.02, in products.
_MOST_FROM_TIE = 0.03


@dataclasses.dataclass(frozen=True)
class Departure:
    """How a quantizer differs although all that it is computed from is equal.

    Attributes:
        name: the quantizer's.
        is_range: whether it rounds; else it compares with thresholds.
        maker: class of the layer whose output it quantizes.
        values: how many were compared.
        differing: how many differ.
        largest: by how many levels at most.
        from_tie: how far from the middle between two levels the number of Keras is, in levels, for
            the worst of those that differ.
    """

    name: str
    is_range: bool
    maker: str
    values: int
    differing: int
    largest: int
    from_tie: float


@dataclasses.dataclass(frozen=True)
class ForcedRun:
    """What a forced run found.

    Attributes:
        departures: of the quantizers that differ, in the order of Keras.
        not_compared: names of the quantizers that are no tensors of the file.
        output_difference: the largest difference of the output.
    """

    departures: tuple[Departure, ...]
    not_compared: tuple[str, ...]
    output_difference: float


def unexplained(run: ForcedRun) -> list[Departure]:
    """Returns the departures that are not ties.

    What enters a quantizer is computed from equal numbers. Thresholds are a function of one int8
    number, so they must agree altogether. A range rounds: by one level, and only where Keras'
    number is right between two levels, it may round otherwise than the file, whose sums are whole
    numbers times a scale and whose biases and factors are rounded. Any other lowering than the
    right one moves numbers from anywhere.
    """
    return [
        each
        for each in run.departures
        # A NaN is no tie.
        if not (each.is_range and each.largest <= 1 and each.from_tie <= _MOST_FROM_TIE)
    ]


def run_forced(
    model: keras.Model, content: bytes, images: np.ndarray, data: np.ndarray | None = None
) -> ForcedRun:
    """Runs Keras with the file's numbers behind every quantizer.

    Args:
        model: a quantized model.
        content: what `convert` made of it; XNNPACK runs it.
        images: what to run both on.
        data: the representative dataset that `convert` got.
    """
    # Layers that training left in float are 8-bit in the file, and so in this graph.
    graph, _ = complete(model, data)
    # Layers that are new in it find the layers that they compute with.
    graph.to_model()
    file = flatbuffer.read(content)
    matches, not_compared = match(graph, file)
    outputs, tensors = _run_file(file, matches, images)
    given = {each.step.name: (each, got) for each, got in zip(matches, tensors, strict=True)}
    values: dict[Ref, tf.Tensor] = {graph.inputs[0]: tf.constant(images)}
    departures = []
    for step in graph.in_order():
        if step.output in values:
            continue
        inputs, result = _call(step, values)
        if step.name in given:
            matched, levels = given[step.name]
            expected = matched.keras_levels(result.numpy())
            levels = levels.reshape(expected.shape)
            if (levels != expected).any():
                maker = graph.producer(step.inputs[0])
                departures.append(_departure(matched, maker, inputs.numpy(), expected, levels))
            # As the file's tables take them: whole numbers of a float32.
            result = (levels - matched.shift).astype(np.float32) * np.float32(matched.unit)
            result -= matched.offset.astype(np.float32)
        values[step.output] = tf.constant(result)
    expected = values[tf.nest.flatten(graph.outputs)[0]].numpy()
    return ForcedRun(
        tuple(departures), tuple(not_compared), float(np.abs(outputs - expected).max())
    )


def _call(step: Step, values: dict[Ref, tf.Tensor]) -> tuple[Any, Any]:
    """Runs a step; returns the first thing that it is called with, and its output."""
    args, kwargs = tf.nest.map_structure(
        lambda leaf: values[leaf] if isinstance(leaf, Ref) else leaf, (step.args, step.kwargs)
    )
    return args[0], step.layer(*args, **kwargs)


def _run_file(
    file: Any, matches: list[Match], images: np.ndarray
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Returns the file's outputs, and the levels of each quantizer."""
    graph = flatbuffer.main_graph(file)
    # What XNNPACK computes can be read where it ends.
    graph.outputs = np.asarray([*graph.outputs, *(each.index for each in matches)], np.int32)
    file.signatureDefs = None
    interpreter = make_interpreter(flatbuffer.write(file), num_threads=1)
    interpreter.allocate_tensors()
    (source,) = interpreter.get_input_details()
    output = interpreter.get_output_details()[0]
    outputs, tensors = [], []
    for image in images:
        interpreter.set_tensor(source['index'], image[None])
        interpreter.invoke()
        outputs.append(interpreter.get_tensor(output['index']))
        tensors.append([each.file_levels(interpreter.get_tensor(each.index)) for each in matches])
    return np.concatenate(outputs), [np.stack(each) for each in zip(*tensors, strict=True)]


def _departure(
    matched: Match, maker: Step, inputs: np.ndarray, expected: np.ndarray, got: np.ndarray
) -> Departure:
    off = np.abs(got - expected)
    where = off > 0
    ranged = is_range(matched.step)
    from_tie = 0.0
    if ranged:
        moved = inputs.astype(np.float64) + matched.offset
        exact = moved[where] / matched.unit + matched.shift
        from_tie = float(np.abs(exact - (got[where] + expected[where]) / 2).max())
    return Departure(
        matched.step.name,
        ranged,
        type(maker.layer).__name__,
        off.size,
        int(where.sum()),
        int(off.max()),
        from_tie,
    )
