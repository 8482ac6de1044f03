"""What a quantized network still lacks before every tensor of it is integer."""

from __future__ import annotations

from typing import Any

import numpy as np
import tf_keras as keras

from tf_n2uq.graph.graph import Graph, Ref, Step
from tf_n2uq.graph.layer_kinds import Kind, function_name, kind_of
from tf_n2uq.layers import QuantizedKernel
from tf_n2uq.quantizers import is_trained
from tf_n2uq.schemes import N2UQQuantizeConfig
from tf_n2uq.schemes.calibration.one_width import collect_statistics
from tf_n2uq.schemes.rewrite.assignment import Assignment
from tf_n2uq.schemes.rewrite.layout_transform import quantize_graph
from tf_n2uq.schemes.rewrite.range_placement import is_range
from tf_n2uq.tflite.network.standalone import without_operator


def complete(
    model: keras.Model, representative_dataset: Any | None, allow_float: bool = False
) -> Graph:
    """Returns the model's graph with every kernel quantized and every tensor with a range.

    Layers that training left in float get 8-bit kernels, and tensors without a trained range one
    from the data. The model itself is not touched.

    Args:
        model: a quantized model.
        representative_dataset: batches of inputs as for `calibrate`, or a function that returns
            an iterable of lists of inputs as for TFLite's converter; None if all is trained.
        allow_float: whether layers that cannot be integer are left as they are.

    Returns:
        A graph whose layers are built and hold their weights.

    Raises:
        ValueError: if a layer cannot be integer or holds NaN or infinity, or a range is needed
            and there is no data.
    """
    _check_finite(model)
    graph = Graph.from_model(model)
    graph.sequential = False
    unknown = [step for step in graph if kind_of(step.layer) is None]
    eight_bits = N2UQQuantizeConfig(bits=8)
    configs = {
        step.name: eight_bits
        for step in graph
        if kind_of(step.layer) is Kind.KERNEL and not isinstance(step.layer, QuantizedKernel)
    }
    known = set(graph.steps) - {step.name for step in unknown}
    quantize_graph(graph, Assignment(known, configs), tensor_bits=8)
    if not allow_float:
        _check_integer(unknown, without_operator(graph))
    completed = graph.to_model()
    untrained = [
        step.name
        for step in graph
        if is_range(step) and not is_trained(step.layer.quantizer_weights)
    ]
    if untrained:
        _fill_ranges(completed, untrained, representative_dataset)
    return graph


def _check_finite(model: keras.Model) -> None:
    for layer in model.layers:
        for variable in layer.weights:
            if not np.isfinite(np.asarray(variable, np.float64)).all():
                raise ValueError(
                    f'model: expected finite numbers, got NaN or infinity in {variable.name!r} of '
                    f'layer {layer.name!r}. Training has diverged: convert an earlier checkpoint.'
                )


def _check_integer(unknown: list[Step], standing_alone: list[Step]) -> None:
    if unknown:
        listed = ', '.join(f'{step.name} ({type(step.layer).__name__})' for step in unknown)
        raise ValueError(
            f'model: expected layers that an integer file can hold, got {listed}. Replace them, '
            'or leave them in float with allow_float=True.'
        )
    if standing_alone:
        listed = ', '.join(f'{step.name} ({function_name(step.layer)})' for step in standing_alone)
        raise ValueError(
            f'model: expected functions that int8 operators compute, got {listed}. Each of these '
            'is read by more than quantized layers of 2 to 7 bits, whose thresholds it would be '
            'part of. Use relu, swish, hard_swish, gelu, sigmoid or tanh there, or leave them in '
            'float with allow_float=True.'
        )


def _fill_ranges(model: keras.Model, names: list[str], dataset: Any | None) -> None:
    if dataset is None:
        raise ValueError(
            'representative_dataset: expected data, as these tensors have no trained range: '
            f'{", ".join(names)}. Call tf_n2uq.calibrate(model, dataset) before training, or '
            'give some batches of inputs here.'
        )
    network = _network_before(model, names)
    batches = _as_batches(dataset)
    for name, measured in collect_statistics(names, network, batches, verbose=0).items():
        layer = model.get_layer(name)
        for weight, value in layer.quantizer.calibrated(measured).items():
            layer.quantizer_weights[weight].assign(value)


def _network_before(model: keras.Model, names: list[str]) -> keras.Model:
    """The network that outputs what enters some quantizers, which are left out of it."""
    graph = Graph.from_model(model)
    taps: dict[str, Ref] = {}
    for step in graph.in_order():
        if step.name in names:
            (taps[step.name],) = step.inputs
            graph.remove(step)
    return graph.to_model(outputs=[taps[name] for name in names])


def _as_batches(dataset: Any) -> Any:
    """TFLite's representative datasets are functions that yield the list of a call's inputs."""
    if not callable(dataset):
        return dataset
    return [batch[0] if len(batch) == 1 else (tuple(batch), None) for batch in dataset()]
