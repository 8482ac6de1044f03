"""The completion of a quantized network: the kernels and ranges that it still lacks."""

from __future__ import annotations

from typing import Any

import numpy as np
import tf_keras as keras

from tf_n2uq._compat.keras_layers import expects_mask
from tf_n2uq.graph.checks import layers_inside
from tf_n2uq.graph.decisions import Decisions, decide
from tf_n2uq.graph.graph import Graph, Step
from tf_n2uq.graph.graph_function import GraphFunction
from tf_n2uq.graph.masks import check_no_masks
from tf_n2uq.graph.offsets import offset_of
from tf_n2uq.graph.quantizer_steps import role_of
from tf_n2uq.layers import QuantizedKernel
from tf_n2uq.layers.layer_spec import Kind, function_name, refusal_of
from tf_n2uq.quantizers import is_trained
from tf_n2uq.schemes import N2UQQuantizeConfig
from tf_n2uq.schemes.calibration.one_width import collect_statistics
from tf_n2uq.schemes.rewrite.assignment import Assignment
from tf_n2uq.schemes.rewrite.layout_transform import quantize_graph


def complete(
    model: keras.Model, representative_dataset: Any | None, allow_float: bool = False
) -> tuple[Graph, Decisions]:
    """Returns the model's graph with every kernel quantized and every tensor with a range.

    Layers that the training left in float get 8-bit kernels. Tensors without a trained range get a
    range from the data. The model itself does not change.

    Args:
        model: a quantized model.
        representative_dataset: batches of inputs as for `calibrate`, or a function that returns
            an iterable of lists of inputs as for TFLite's converter. It may be None if all ranges
            are trained.
        allow_float: whether layers that cannot be integer stay as they are.

    Returns:
        A graph whose layers are built and hold their weights, and the decisions about the graph.

    Raises:
        ValueError: if a layer cannot be integer, reads a mask of Keras, or holds NaN or infinity;
            if the model returns the inside of an operator of the file; or if a range is missing and
            there is no data.
    """
    _check_finite(model)
    graph = Graph.of_layers(model)
    unknown = [step for step in graph if step.kind is None]
    eight_bits = N2UQQuantizeConfig(bits=8)
    configs = {
        step.name: eight_bits
        for step in graph
        if step.kind is Kind.KERNEL and not isinstance(step.layer, QuantizedKernel)
    }
    known = set(graph.steps) - {step.name for step in unknown}
    _check_operators_are_whole(graph)
    check_no_masks(graph, {step.name for step in graph if expects_mask(step.layer)})
    quantize_graph(graph, Assignment(known, configs), tensor_bits=8)
    decisions = decide(graph)
    if not allow_float:
        _check_integer(unknown, _without_operator(graph, decisions))
    graph.build_layers()
    untrained = [
        name
        for name in decisions.ranges
        if not is_trained(graph.steps[name].layer.quantizer_weights)
    ]
    if untrained:
        _fill_ranges(graph, untrained, representative_dataset)
    return graph, decisions


def _check_operators_are_whole(graph: Graph) -> None:
    """Refuses a model that reads or returns a tensor inside of an operator of the file."""
    for step in graph:
        role = role_of(step)
        if role is None or role.line not in graph.steps:
            continue
        readers = [reader.name for reader in graph.consumers(step.output)]
        if len(readers) > 1 or graph.is_output(step.output):
            others = ', '.join([name for name in readers if name != role.line]) or 'the output'
            raise ValueError(
                f'model: expected {role.line!r} alone to read layer {step.name!r}, as both are one '
                f'operator of the file, got {others} too. Take the output of {role.line!r} '
                'instead, or quantize a float model that has this output already.'
            )


def _without_operator(graph: Graph, decisions: Decisions) -> list[Step]:
    """Returns the element-wise steps that need an operator of their own but have none."""
    return [step for step in graph if decisions.stands_alone(step) and step.spec.form is None]


def _check_finite(model: keras.Model) -> None:
    for layer in layers_inside(model):
        for variable in layer.weights:
            if not np.isfinite(np.asarray(variable, np.float64)).all():
                raise ValueError(
                    f'model: expected finite numbers, got NaN or infinity in {variable.name!r} of '
                    f'layer {layer.name!r}. Training has diverged: convert an earlier checkpoint.'
                )


def _check_integer(unknown: list[Step], standing_alone: list[Step]) -> None:
    if unknown:
        reasons = '; '.join(
            f'{step.name} ({type(step.layer).__name__}) {refusal_of(step.layer, step.input_shape)}'
            for step in unknown
        )
        raise ValueError(
            f'model: expected layers that an integer file can hold, got {reasons}. Replace them, '
            'or leave them in float with allow_float=True.'
        )
    if standing_alone:
        listed = ', '.join(f'{step.name} ({function_name(step.layer)})' for step in standing_alone)
        raise ValueError(
            f'model: expected functions that int8 operators compute, got {listed}. A function can '
            'only become part of thresholds if nothing but quantized layers of 2 to 7 bits reads '
            'it, and other layers read these functions too. Use relu, swish, hard_swish, gelu, '
            'sigmoid or tanh in their place, or leave them in float with allow_float=True.'
        )


def _fill_ranges(graph: Graph, names: list[str], dataset: Any | None) -> None:
    if dataset is None:
        raise ValueError(
            'representative_dataset: expected data, as these tensors have no trained range: '
            f'{", ".join(names)}. Call tf_n2uq.calibrate(model, dataset) before training, or '
            'give some batches of inputs here.'
        )
    taps = [graph.steps[name].inputs[0] for name in names]
    # A range without values is bypassed while the data passes through the network.
    network = GraphFunction(graph, taps, bypassed=names)
    batches = _as_batches(dataset)
    offsets = {name: offset_of(graph, graph.steps[name].output) for name in names}
    statistics = collect_statistics(names, network, batches, verbose=0, offsets=offsets)
    for name, measured in statistics.items():
        layer = graph.steps[name].layer
        for weight, value in layer.quantizer.calibrated(measured).items():
            layer.quantizer_weights[weight].assign(value)


def _as_batches(dataset: Any) -> Any:
    """Returns batches as `calibrate` takes them.

    A representative dataset for TFLite's converter is a function instead. It yields the inputs of a
    call as a list.
    """
    if not callable(dataset):
        return dataset
    return [batch[0] if len(batch) == 1 else (tuple(batch), None) for batch in dataset()]
