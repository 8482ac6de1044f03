"""The comparison of a TFLite file with the Keras model that it was made of, level by level."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.graph.checks import check_quantized_model
from tf_n2uq.graph.float32_twin import float32_twin
from tf_n2uq.graph.graph import Graph
from tf_n2uq.graph.graph_function import GraphFunction
from tf_n2uq.graph.quantizer_steps import is_range, is_thresholds
from tf_n2uq.schemes.adaptive.switching import active_bits, bit_widths, extract
from tf_n2uq.schemes.calibration.batches import list_batches
from tf_n2uq.tflite.passes import flatbuffer
from tf_n2uq.tflite.passes.signature import end_names
from tf_n2uq.tflite.reports.comparison_report import (
    ComparedOutput,
    Comparison,
    Differences,
    FirstDifference,
    OutputComparison,
    QuantizerComparison,
)
from tf_n2uq.tflite.reports.matching import Match, match
from tf_n2uq.tflite.running.interpreter import (
    dequantized,
    filled_up,
    make_interpreter,
    quantized,
)

# Keras computes about so many images at once, but at least a batch of the file. The outputs of all
# quantizers are in memory for them.
_IMAGES_AT_ONCE = 8
# The number of names that an error lists.
_LISTED_NAMES = 8


def compare(
    model: keras.Model, content: bytes, dataset: Any, *, num_threads: int = 2
) -> Comparison:
    """Compares a file with its Keras model, quantizer by quantizer.

    The file is run twice: by XNNPACK, as applications run it, and by the portable reference
    kernels, which define the results of TFLite and round a little differently. The reference
    kernels are slow: a few images of a large network take minutes.

    Args:
        model: The quantized model. A model with several bit-widths is compared at its active
            bit-width. Where layers compute in half precision, as under
            `tf_keras.mixed_precision`, the same weights are compared in float32, which is what a
            file is made of. A warning says so.
        content: The bytes of the file that `convert` made of the model.
        dataset: Batches of inputs as for `tf_n2uq.calibrate`. Labels are not read.
        num_threads: The number of threads that run the file.

    Returns:
        The report.

    Raises:
        TypeError: If `model` is not a tf_keras model, or `content` is not bytes.
        ValueError: If `model` is not quantized or not built; if `content` is not a TFLite file, or
            not the file of this model; or if `dataset` is empty or has a wrong shape.
    """
    check_quantized_model(model)
    if bit_widths(model):
        model = extract(model, active_bits(model))
    model = float32_twin(model)
    file = flatbuffer.read(content)
    _check_ends(model, file)
    graph = Graph.of_layers(model)
    matches, missing = match(graph, file)
    _check_matches(graph, matches, missing)
    _, names = end_names(file)
    scales = _output_scales(file)
    run = _Run(graph, file, matches, num_threads)
    for inputs in _chunks(model, dataset, run.images_at_once):
        run.add(inputs)
    if not run.images:
        raise ValueError(
            'dataset: expected at least one batch of images, got an empty dataset. A generator is '
            'empty after its first use: make a new one.'
        )
    return Comparison(
        images=run.images,
        quantizers=run.quantizers(),
        outputs=run.outputs(names, scales),
        not_compared=tuple(missing),
    )


def _check_ends(model: keras.Model, file: Any) -> None:
    graph = flatbuffer.main_graph(file)
    ends = [len(each) for each in (model.inputs, model.outputs, graph.inputs, graph.outputs)]
    if ends[:2] != ends[2:]:
        raise ValueError(
            f'content: expected the file of this model, which has {ends[0]} inputs and {ends[1]} '
            f'outputs, got one that has {ends[2]} and {ends[3]}. Convert the model again.'
        )
    for tensor, index in zip(model.inputs, graph.inputs, strict=True):
        expected = tuple(tensor.shape[1:])
        batch, *sizes = flatbuffer.shape_of(graph.tensors[index]) or (0,)
        if batch < 1 or not tf.TensorShape(expected).is_compatible_with(sizes):
            raise ValueError(
                f'content: expected the file of this model, which takes images {expected}, got one '
                f'that takes {batch} images {tuple(sizes)} at a time. Convert the model again.'
            )


def _check_matches(graph: Graph, matches: list[Match], missing: list[str]) -> None:
    """Raises an error unless the file has the thresholds of the model, and some of its ranges."""
    absent = [name for name in missing if is_thresholds(graph.steps[name])]
    ranges = [step.name for step in graph if is_range(step)]
    if ranges and not any(is_range(each.step) for each in matches):
        absent += ranges
    if absent or not matches:
        listed = ', '.join(absent[:_LISTED_NAMES]) + (' …' if len(absent) > _LISTED_NAMES else '')
        raise ValueError(
            'content: expected the file that tf_n2uq.tflite.convert makes of this model, got one '
            f'in which these quantizers are no tensors with their levels and scales: {listed}. '
            'Convert the model again, as its weights may have changed since.'
        )


def _chunks(model: keras.Model, dataset: Any, size: int) -> Iterator[list[np.ndarray]]:
    for batch in list_batches(model, dataset):
        inputs = [each.numpy() for each in tf.nest.flatten(batch)]
        for start in range(0, len(inputs[0]), size):
            yield [each[start : start + size] for each in inputs]


class _Run:
    """Runs the model and the file on the same images, and counts differing levels."""

    def __init__(self, graph: Graph, file: Any, matches: list[Match], num_threads: int) -> None:
        taps = [each.step.output for each in matches]
        ends = tf.nest.flatten(graph.outputs)
        self._network = GraphFunction(graph, [*taps, *ends])
        self._matches = matches
        content = _with_outputs(file, [each.index for each in matches])
        self.xnnpack = _FileRun(make_interpreter(content, num_threads), matches, len(ends))
        self.reference = _FileRun(make_interpreter(content, num_threads, True), matches, len(ends))
        self.keras_outputs: list[list[np.ndarray]] = [[] for _ in ends]
        self.images = 0

    @property
    def images_at_once(self) -> int:
        """The number of images to add at once, a multiple of the batch of the file."""
        return self.xnnpack.batch * max(1, _IMAGES_AT_ONCE // self.xnnpack.batch)

    def add(self, inputs: list[np.ndarray]) -> None:
        results = [tensor.numpy() for tensor in self._network([tf.constant(x) for x in inputs])]
        taps, outputs = results[: len(self._matches)], results[len(self._matches) :]
        for kept, output in zip(self.keras_outputs, outputs, strict=True):
            kept.append(output)
        levels = [
            matched.keras_levels(tap) for matched, tap in zip(self._matches, taps, strict=True)
        ]
        for run in (self.xnnpack, self.reference):
            run.add(inputs, levels)
        self.images += len(inputs[0])

    def outputs(self, names: list[str], scales: list[float | None]) -> tuple[ComparedOutput, ...]:
        ends = zip(
            names,
            scales,
            self.keras_outputs,
            self.xnnpack.outputs,
            self.reference.outputs,
            strict=True,
        )
        return tuple(
            ComparedOutput(
                name,
                scale,
                xnnpack=_compare_outputs(expected, xnnpack, scale),
                reference=_compare_outputs(expected, reference, scale),
            )
            for name, scale, expected, xnnpack, reference in ends
        )

    def quantizers(self) -> tuple[QuantizerComparison, ...]:
        counters = zip(self._matches, self.xnnpack.counters, self.reference.counters, strict=True)
        return tuple(
            QuantizerComparison(
                name=matched.step.name,
                kind='range' if is_range(matched.step) else 'thresholds',
                levels=matched.levels,
                values=xnnpack.values,
                xnnpack=xnnpack.result(),
                reference=reference.result(),
            )
            for matched, xnnpack, reference in counters
        )


def _with_outputs(file: Any, indices: list[int]) -> bytes:
    """Returns the file with some more outputs.

    XNNPACK keeps the tensors inside of its partition to itself, unless they are outputs.
    """
    graph = flatbuffer.main_graph(file)
    graph.outputs = np.asarray([*graph.outputs, *indices], np.int32)
    # A signature would list the old outputs.
    file.signatureDefs = None
    return flatbuffer.write(file)


class _FileRun:
    """Runs the file with XNNPACK or the reference kernels, and counts differing levels."""

    def __init__(self, interpreter: Any, matches: list[Match], outputs: int) -> None:
        self._interpreter = interpreter
        self._interpreter.allocate_tensors()
        self._inputs = self._interpreter.get_input_details()
        self._outputs = self._interpreter.get_output_details()[:outputs]
        self.batch = int(self._inputs[0]['shape'][0])
        self._images = 0
        self.counters = [_Counter(each) for each in matches]
        self.outputs: list[list[np.ndarray]] = [[] for _ in self._outputs]

    def add(self, inputs: list[np.ndarray], levels: list[np.ndarray]) -> None:
        for start in range(0, len(inputs[0]), self.batch):
            part = slice(start, start + self.batch)
            self._add_batch([each[part] for each in inputs], [each[part] for each in levels])

    def _add_batch(self, inputs: list[np.ndarray], levels: list[np.ndarray]) -> None:
        for values, details in zip(inputs, self._inputs, strict=True):
            given = quantized(filled_up(values, self.batch), details)
            self._interpreter.set_tensor(details['index'], given)
        self._interpreter.invoke()
        count = len(inputs[0])
        for kept, details in zip(self.outputs, self._outputs, strict=True):
            values = self._interpreter.get_tensor(details['index'])
            kept.append(dequantized(values, details)[:count])
        for counter, expected in zip(self.counters, levels, strict=True):
            tensor = self._interpreter.get_tensor(counter.matched.index)
            of_images = zip(expected, tensor.reshape(self.batch, -1), strict=False)
            for number, (each, values) in enumerate(of_images, self._images):
                counter.add(number, each, values)
        self._images += count


class _Counter:
    """Counts the levels of one quantizer that differ between Keras and the file."""

    def __init__(self, matched: Match) -> None:
        self.matched = matched
        self.values = self._differing = self._largest = 0
        self._first: FirstDifference | None = None

    def add(self, image: int, expected: np.ndarray, tensor: np.ndarray) -> None:
        got = self.matched.file_levels(tensor).reshape(expected.shape)
        off = np.abs(expected - got)
        self.values += off.size
        self._differing += int(np.count_nonzero(off))
        self._largest = max(self._largest, int(off.max()))
        if self._first is None and off.any():
            position = tuple(int(axis[0]) for axis in np.nonzero(off))
            self._first = FirstDifference(
                image, position, int(expected[position]), int(got[position])
            )

    def result(self) -> Differences:
        return Differences(self._differing, self._largest, self._first)


def _output_scales(file: Any) -> list[float | None]:
    """Returns the scale of each output of a file, or of the int8 tensor that is converted to it.

    An output that is computed in float has none.
    """
    graph = flatbuffer.main_graph(file)
    makers = flatbuffer.producers(graph)
    found: list[float | None] = []
    for index in map(int, graph.outputs):
        maker = makers.get(index)
        if maker is not None and flatbuffer.operator_name(file, maker) == 'DEQUANTIZE':
            index = int(maker.inputs[0])
        scales = flatbuffer.scales_of(graph.tensors[index])
        found.append(float(scales[0]) if len(scales) == 1 else None)
    return found


def _compare_outputs(
    expected: list[np.ndarray], got: list[np.ndarray], scale: float | None
) -> OutputComparison:
    expected_outputs = np.concatenate(expected).astype(np.float64)
    outputs = np.concatenate(got).astype(np.float64)
    steps = np.abs(outputs - expected_outputs) / (1.0 if scale is None else scale)
    agreement = None
    if outputs.shape[-1] > 1:
        agreement = float((outputs.argmax(axis=-1) == expected_outputs.argmax(axis=-1)).mean())
    return OutputComparison(agreement, float(steps.mean()), float(steps.max()))
