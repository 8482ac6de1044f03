"""Calibration of the quantizers of a network that has one bit-width."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.graph.decisions import Decisions, decide
from tf_n2uq.graph.graph import Graph, copy_layer
from tf_n2uq.graph.graph_function import GraphFunction
from tf_n2uq.graph.offsets import offset_of
from tf_n2uq.layers import Quantize, QuantizedKernel
from tf_n2uq.layers.connections import ReadsInt8
from tf_n2uq.quantizers.statistics import TensorStatistics
from tf_n2uq.schemes.calibration.batches import dataset_length, end_progress, list_batches
from tf_n2uq.schemes.calibration.bias_correction import correct_bias, kernel_gain
from tf_n2uq.schemes.calibration.kernel_start import (
    in_quantized_scale,
    scale_gain,
    start_quantizers,
)

_VALUES_PER_TENSOR = 2**18
_ROWS_PER_BATCH = 1024


def calibrate_one_width(
    model: keras.Model, dataset: Any, verbose: int, seed: int, steps: int | None = None
) -> None:
    """Calibrates the quantizers of a model that has one bit-width, see `tf_n2uq.calibrate`.

    Args:
        model: a quantized model, changed in place.
        dataset: as for `tf_n2uq.calibrate`.
        verbose: 1 for a progress bar, 0 for silence.
        seed: the seed of the random positions at which tensors are sampled.
        steps: the number of batches to read at most; None for all.

    Raises:
        ValueError: as `tf_n2uq.calibrate`.
    """
    graph = Graph.of_layers(model)
    for step in graph:
        if isinstance(step.layer, QuantizedKernel):
            start_quantizers(step.layer)
    names, network = float_network(model)
    offsets = {name: offset_of(graph, graph.steps[name].output) for name in names}
    statistics = collect_statistics(names, network, dataset, verbose, seed, offsets, steps)
    decisions = decide(graph)
    for name, measured in statistics.items():
        layer = graph.steps[name].layer
        kernel = _kernel_behind(graph, decisions, name)
        if kernel is not None:
            gain = kernel_gain(kernel) / scale_gain(kernel)
            measured = dataclasses.replace(measured, kernel_gain=gain)
        for weight, value in layer.quantizer.calibrated(measured).items():
            variable = layer.quantizer_weights[weight]
            variable.assign(np.reshape(value, variable.shape))
    for name, measured in statistics.items():
        kernel = _kernel_behind(graph, decisions, name)
        if kernel is not None:
            line = decisions.lines.get(decisions.fed_kernels[name])
            follower = None if line is None else graph.steps[line].layer
            scale = scale_gain(kernel)
            changed = kernel if follower is None else follower
            part = 1 / len(graph.calls_of(changed))
            correct_bias(graph.steps[name].layer, kernel, follower, measured, scale, part)


def collect_statistics(
    names: list[str],
    network: GraphFunction,
    dataset: Any,
    verbose: int = 1,
    seed: int = 0,
    offsets: Mapping[str, np.ndarray] | None = None,
    steps: int | None = None,
) -> dict[str, TensorStatistics]:
    """Runs a network over data and collects statistics of each of its outputs.

    Args:
        names: the names of the outputs.
        network: returns one tensor for each name, in this order.
        dataset: as for `tf_n2uq.calibrate`.
        verbose: 1 for a progress bar, 0 for silence.
        seed: the seed of the random positions at which tensors are sampled.
        offsets: what is added to outputs before they are measured, by name; arrays of shape
            `[channels]` or `[]`.
        steps: the number of batches to read at most; None for all.

    Returns:
        The statistics of each output, by its name.

    Raises:
        TypeError: as `tf_n2uq.calibrate`.
        ValueError: as `tf_n2uq.calibrate`.
    """
    measure: Callable[..., Any] | None = None
    added = [np.asarray((offsets or {}).get(name, 0.0), np.float32) for name in names]
    collected: dict[str, TensorStatistics] = {}
    generator = np.random.default_rng(seed)
    length = dataset_length(network, dataset, steps)
    progress = keras.utils.Progbar(length, unit_name='batch', verbose=verbose)
    for number, inputs in enumerate(list_batches(network, dataset, steps)):
        measure = measure or _make_measure(network, inputs, added)
        results = measure(inputs, tf.constant([seed, number], tf.int32))
        for name, (low, high, rows) in zip(names, results, strict=True):
            new = TensorStatistics(float(low), float(high), rows.numpy())
            old = collected.get(name)
            collected[name] = new if old is None else old.merged(new, generator)
        progress.add(1)
    if not collected:
        raise ValueError(
            'dataset: expected at least one batch, got an empty dataset; give a batch.'
        )
    end_progress(progress, number + 1)
    return collected


def float_network(model: keras.Model) -> tuple[list[str], GraphFunction]:
    """Returns the float network of a quantized model, as far as its quantizers need it.

    The kernels of the float network are as large as the quantized kernels, see
    `in_quantized_scale`.

    Args:
        model: a quantized model. It stays as it is, and its weights are copied.

    Returns:
        The names of the quantizers in the order of execution, and a function that returns, in this
        order, the tensors which enter the quantizers.
    """
    graph, own = Graph.from_model(model), Graph.of_layers(model)
    quantizers = [step for step in graph.in_order() if isinstance(step.layer, Quantize)]
    copies: dict[str, keras.layers.Layer] = {}
    for step in graph:
        if isinstance(step.layer, QuantizedKernel):
            kernel: Any = own.steps[step.name].layer
            step.kwargs.pop('use', None)
            if kernel.name not in copies:
                copies[kernel.name] = copy_layer(kernel.layer)
                step.restore = [(copies[kernel.name], in_quantized_scale(kernel))]
            step.layer = copies[kernel.name]
        elif isinstance(step.layer, ReadsInt8):
            # There is no scale to round by where tensors are float.
            step.layer.input_quantizer = None
    graph.build_layers()
    names = [step.name for step in quantizers]
    return names, GraphFunction(graph, [step.inputs[0] for step in quantizers], bypassed=names)


def _make_measure(
    network: GraphFunction, inputs: Any, added: list[np.ndarray]
) -> Callable[..., Any]:
    """Returns a function that measures the outputs of a network plus what is added to each.

    The function takes inputs like these, in batches of any size, and a seed of two int32 numbers.
    It returns for each output the smallest value, the largest value, and rows at random positions,
    float32 `[rows, channels]`.
    """

    @tf.function
    def measure(inputs: Any, seed: tf.Tensor) -> list[tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
        results = []
        tensors = tf.nest.flatten(network(inputs, training=False))
        for index, tensor in enumerate(tensors):
            channels = tensor.shape[-1]
            rows = tf.reshape(tf.cast(tensor, tf.float32), [-1, channels]) + added[index]
            wanted = max(16, min(_ROWS_PER_BATCH, _VALUES_PER_TENSOR // channels))
            chosen = tf.random.stateless_uniform(
                [tf.minimum(wanted, tf.shape(rows)[0])],
                tf.stack([seed[0] + index, seed[1]]),
                maxval=tf.shape(rows)[0],
                dtype=tf.int32,
            )
            results.append((tf.reduce_min(rows), tf.reduce_max(rows), tf.gather(rows, chosen)))
        return results

    shapes = [tensor.shape for tensor in tf.nest.flatten(network.inputs)]
    specs = [tf.TensorSpec(shape, tf.float32) for shape in shapes]
    # Where many models are calibrated, TensorFlow would warn of functions that calls have traced.
    return measure.get_concrete_function(
        tf.nest.pack_sequence_as(inputs, specs), tf.TensorSpec([2], tf.int32)
    )


def _kernel_behind(graph: Graph, decisions: Decisions, name: str) -> QuantizedKernel | None:
    """Returns the quantized layer that reads the levels of a quantizer, if one does."""
    kernel = decisions.fed_kernels.get(name)
    return None if kernel is None else graph.steps[kernel].layer
