"""The assignment of bits and configs to the layers of a network."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

import tf_keras as keras

from tf_n2uq.graph.graph import Graph, Step
from tf_n2uq.layers.layer_spec import Kind, refusal_of, spec_of
from tf_n2uq.schemes.rewrite.bit_policy import BitPolicy
from tf_n2uq.schemes.rewrite.kernel_config import KernelQuantizeConfig
from tf_n2uq.schemes.rewrite.tfmot_configs import Meaning, meaning_of


@dataclasses.dataclass
class Assignment:
    """The steps of a graph that the rewrite quantizes, and their configs.

    Attributes:
        annotated: The names of the steps that the rewrite may change.
        configs: The config of each annotated step with a kernel, by the name of the step.
    """

    annotated: set[str]
    configs: dict[str, KernelQuantizeConfig]


def assign(graph: Graph, requested: Mapping[str, Any], scheme: BitPolicy) -> Assignment:
    """Decides for every annotated layer whether, and to how many bits, it is quantized.

    A config that the layer was annotated with comes first, then `layers=`, then the boundary, then
    `bits`. Configs of TFMOT's own 8-bit scheme count as what they mean (see `tfmot_configs`).

    Args:
        graph: The graph of the model.
        requested: The `QuantizeConfig` of each annotated layer, or None, by the name of the layer.
        scheme: The scheme.

    Returns:
        The assignment.

    Raises:
        ValueError: An expression in `layers=` matches no annotated layer, or gives bits to layers
            without a kernel alone; a layer cannot be quantized; or its config is one of another
            package that this package has no form for.
    """
    _check_patterns(scheme.layers, requested)
    _check_bits_are_taken(scheme.layers, requested, graph)
    boundary = _boundary(graph)
    result = Assignment(set(), {})
    for step in graph:
        # A layer without weights may be called often, and is annotated once.
        if step.origin not in requested:
            continue
        is_float, config = _decide(step, requested[step.origin], step.name in boundary, scheme)
        if is_float:
            continue
        _check_supported(step, graph)
        result.annotated.add(step.name)
        if config is not None:
            result.configs[step.name] = config
    return result


def _decide(
    step: Step, given: Any, at_boundary: bool, scheme: BitPolicy
) -> tuple[bool, KernelQuantizeConfig | None]:
    """Returns whether the layer stays in float, and its config if it has a kernel."""
    has_kernel = _has_kernel(step.layer)
    if given is not None and not isinstance(given, KernelQuantizeConfig):
        meaning = meaning_of(given, step.layer, step.origin)
        eight_bits = scheme.make_config(8, 8) if meaning is Meaning.KERNEL else None
        return meaning is Meaning.FLOAT, eight_bits
    if given is not None:
        if not has_kernel:
            raise ValueError(
                f'quantize_config: expected a layer with a kernel for {given!r}, got '
                f'{type(step.layer).__name__} {step.name!r}; annotate it without a config.'
            )
        return False, given
    pattern = next((p for p in scheme.layers if re.fullmatch(p, step.origin)), None)
    if pattern is not None:
        bits = scheme.layers[pattern]
        if bits is None:
            return True, None
        return False, scheme.make_config(bits, bits) if has_kernel else None
    if not has_kernel:
        return False, None
    if at_boundary:
        if scheme.boundary_bits is None:
            return True, None
        return False, scheme.make_config(scheme.boundary_bits, scheme.boundary_bits)
    return False, scheme.default_config()


def _check_patterns(layers: Mapping[str, int | None], requested: Mapping[str, Any]) -> None:
    for pattern in layers:
        if not any(re.fullmatch(pattern, name) for name in requested):
            known = ', '.join(sorted(requested))
            raise ValueError(
                f'layers: expected expressions that match the whole name of an annotated layer, '
                f'got {pattern!r}, which matches none of: {known}; correct the expression, or '
                'annotate the layer.'
            )


def _check_bits_are_taken(
    layers: Mapping[str, int | None], requested: Mapping[str, Any], graph: Graph
) -> None:
    """Checks that each number of bits has a layer with a kernel, which alone takes bits."""
    kinds = {step.origin: type(step.layer).__name__ for step in graph if step.origin in requested}
    # Layers that nobody knows are refused by name later.
    may_take = {
        step.origin for step in graph if _has_kernel(step.layer) or spec_of(step.layer) is None
    }
    for pattern, bits in layers.items():
        matched = [name for name in kinds if re.fullmatch(pattern, name)]
        if bits is not None and not may_take.intersection(matched):
            named = ', '.join(f'{name!r} ({kinds[name]})' for name in matched)
            raise ValueError(
                f'layers: expected expressions for bits that match a layer with a kernel, got '
                f'{{{pattern!r}: {bits}}}, which matches {named}, where nothing takes bits; name '
                'the layer whose kernel and input are to have them, or give None to leave a layer '
                'in float.'
            )


def _check_supported(step: Step, graph: Graph) -> None:
    layer = step.layer
    leave_out = f'leave it in float with layers={{{step.origin!r}: None}}'
    if spec_of(layer) is None:
        raise ValueError(
            f'model: layer {step.name!r} is a {type(layer).__name__}, which this scheme cannot '
            f'quantize; {leave_out}.'
        )
    refusal = refusal_of(layer, step.input_shape)
    if refusal is not None:
        raise ValueError(f'model: layer {step.name!r} {refusal}. Change the layer, or {leave_out}.')
    calls = graph.calls_of(layer)
    if (layer.weights or step.restore) and len(calls) > 1 and not _may_be_shared(layer):
        raise ValueError(
            f'model: {type(layer).__name__} {layer.name!r} is called {len(calls)} times; expected '
            'one call, as a quantized network may share layers with a kernel, batch '
            'normalizations and PReLUs, whose own activation has no weights, and no other layers '
            f'with weights. Use separate layers, or {leave_out}.'
        )


def _may_be_shared(layer: keras.layers.Layer) -> bool:
    """Tells whether calls of a layer may share its weights in a quantized network."""
    spec = spec_of(layer)
    is_kernel = spec is not None and spec.kind is Kind.KERNEL
    has_layer_inside = isinstance(getattr(layer, 'activation', None), keras.layers.Layer)
    shared = (keras.layers.BatchNormalization, keras.layers.PReLU)
    return (is_kernel and not has_layer_inside) or type(layer) in shared


def _boundary(graph: Graph) -> set[str]:
    """Returns the steps with a kernel that have no other kernel before, or none behind them."""
    order = graph.in_order()
    after_kernel: dict[str, bool] = {}
    for step in order:
        after_kernel[step.name] = any(
            after_kernel[ref.step] or _has_kernel(graph.producer(ref).layer) for ref in step.inputs
        )
    before_kernel: dict[str, bool] = {step.name: False for step in order}
    for step in reversed(order):
        for ref in step.inputs:
            before_kernel[ref.step] |= before_kernel[step.name] or _has_kernel(step.layer)
    layers = [
        step.layer
        for step in order
        if _has_kernel(step.layer) and not (after_kernel[step.name] and before_kernel[step.name])
    ]
    # The calls of a layer share its bits.
    return {call.name for layer in layers for call in graph.calls_of(layer)}


def _has_kernel(layer: keras.layers.Layer) -> bool:
    spec = spec_of(layer)
    return spec is not None and spec.kind is Kind.KERNEL
