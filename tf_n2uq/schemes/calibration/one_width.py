"""Calibration of the quantizers of a network that has one bit-width."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq._compat.keras_models import nested_inputs
from tf_n2uq.graph.decisions import Decisions, decide
from tf_n2uq.graph.graph import Graph, copy_layer
from tf_n2uq.graph.graph_function import GraphFunction
from tf_n2uq.graph.offsets import offset_of
from tf_n2uq.layers import Quantize, QuantizedKernel
from tf_n2uq.layers.connections import ReadsInt8
from tf_n2uq.quantizers.statistics import TensorStatistics
from tf_n2uq.schemes.calibration.bias_correction import correct_bias, kernel_gain
from tf_n2uq.schemes.calibration.kernel_start import (
    in_quantized_scale,
    scale_gain,
    start_quantizers,
)

_VALUES_PER_TENSOR = 2**18
_ROWS_PER_BATCH = 1024


def calibrate_one_width(model: keras.Model, dataset: Any, verbose: int, seed: int) -> None:
    """Calibrates the quantizers of a model that has one bit-width, see `tf_n2uq.calibrate`.

    Args:
        model: a quantized model, changed in place.
        dataset: as for `tf_n2uq.calibrate`.
        verbose: 1 for a progress bar, 0 for silence.
        seed: the seed of the random positions at which tensors are sampled.

    Raises:
        ValueError: as `tf_n2uq.calibrate`.
    """
    for layer in model.layers:
        if isinstance(layer, QuantizedKernel):
            start_quantizers(layer)
    names, network = float_network(model)
    graph = Graph.of_layers(model)
    offsets = {name: offset_of(graph, graph.steps[name].output) for name in names}
    statistics = collect_statistics(names, network, dataset, verbose, seed, offsets)
    decisions = decide(graph)
    for name, measured in statistics.items():
        layer = model.get_layer(name)
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
            correct_bias(model.get_layer(name), kernel, follower, measured, scale, part)


def collect_statistics(
    names: list[str],
    network: GraphFunction,
    dataset: Any,
    verbose: int = 1,
    seed: int = 0,
    offsets: Mapping[str, np.ndarray] | None = None,
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
    batches = list_batches(network, dataset)
    progress = keras.utils.Progbar(dataset_length(dataset), unit_name='batch', verbose=verbose)
    for number, inputs in enumerate(batches):
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
    return collected


def list_batches(model: keras.Model | GraphFunction, dataset: Any) -> Iterator[Any]:
    """Yields the inputs of a model, batch by batch, without labels.

    Args:
        model: the model or function whose `inputs` say which shapes are expected.
        dataset: as for `tf_n2uq.calibrate`.

    Yields:
        A nest of float32 tensors, in the order of the model's inputs. Empty batches are left out.

    Raises:
        TypeError: if `dataset` is no dataset, no iterable and no array.
        ValueError: if a batch has a wrong shape, or holds NaN or infinite values. The error says
            which batch.
    """
    for number, batch in enumerate(_as_iterable(dataset)):
        if isinstance(batch, (tuple, list)) and len(batch) > 1:
            batch = keras.utils.unpack_x_y_sample_weight(tuple(batch))[0]
        elif isinstance(batch, (tuple, list)):
            (batch,) = batch
        batch = _in_order(model, batch, number)
        inputs = tf.nest.map_structure(lambda x: tf.cast(x, tf.float32), batch)
        expected, got = tf.nest.flatten(model.inputs), tf.nest.flatten(inputs)
        shapes = [tuple(tensor.shape) for tensor in expected]
        if len(got) != len(expected) or not all(
            tensor.shape.is_compatible_with(want.shape)
            for tensor, want in zip(got, expected, strict=True)
        ):
            raise ValueError(
                f'dataset: expected batches of shape {shapes} (None: any size), got '
                f'{[tuple(tensor.shape) for tensor in got]} in batch {number}; give batches as for '
                'fit.'
            )
        for tensor in got:
            if not bool(tf.reduce_all(tf.math.is_finite(tensor))):
                raise ValueError(
                    f'dataset: expected finite values, got NaN or infinity in batch {number}; '
                    'leave such values out.'
                )
        if got[0].shape[0]:
            yield inputs


def _in_order(model: keras.Model | GraphFunction, batch: Any, number: int) -> Any:
    """Returns a batch that comes as a dictionary in the order of the model's inputs."""
    if not isinstance(batch, Mapping):
        return batch
    names = list(model.input_names)
    if isinstance(model, keras.Model) and isinstance(nested_inputs(model), dict):
        names = sorted(nested_inputs(model))
    if set(batch) != set(names):
        raise ValueError(
            f'dataset: expected batches with the inputs {", ".join(names)}, got '
            f'{", ".join(map(str, batch))} in batch {number}; give an array for each input.'
        )
    return [batch[name] for name in names]


def _as_iterable(dataset: Any) -> Iterable[Any]:
    if isinstance(dataset, (np.ndarray, tf.Tensor)):
        return [dataset[start : start + 32] for start in range(0, len(dataset), 32)]
    if isinstance(dataset, Mapping):
        arrays = {name: np.asarray(each) for name, each in dataset.items()}
        count = max((len(each) for each in arrays.values()), default=0)
        return [
            ({name: each[start : start + 32] for name, each in arrays.items()},)
            for start in range(0, count, 32)
        ]
    if not isinstance(dataset, Iterable):
        raise TypeError(
            'dataset: expected a tf.data.Dataset, an iterable of batches or an array, got '
            f'{type(dataset).__name__}; give one of these.'
        )
    return dataset


def dataset_length(dataset: Any) -> int | None:
    """Returns the number of batches of a dataset; None if it is not known or not finite."""
    if not isinstance(dataset, tf.data.Dataset):
        return None
    length = int(dataset.cardinality())
    return length if length >= 0 else None


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
    graph = Graph.from_model(model)
    quantizers = [step for step in graph.in_order() if isinstance(step.layer, Quantize)]
    copies: dict[str, keras.layers.Layer] = {}
    for step in graph:
        if isinstance(step.layer, QuantizedKernel):
            kernel = model.get_layer(step.layer.name)
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
