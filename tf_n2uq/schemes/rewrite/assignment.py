"""Which layers a scheme quantizes, and to how many bits."""

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


@dataclasses.dataclass
class Assignment:
    """What the rewrite is to do with the steps of a graph.

    Attributes:
        annotated: names of the steps that may be touched.
        configs: the config of each annotated step with a kernel.
    """

    annotated: set[str]
    configs: dict[str, KernelQuantizeConfig]


def assign(graph: Graph, requested: Mapping[str, Any], scheme: BitPolicy) -> Assignment:
    """Decides for every annotated layer.

    A config given to the layer comes first, then `layers=`, then the boundary, then `bits`.

    Args:
        graph: the model.
        requested: `{layer name: QuantizeConfig or None}` of the annotated layers.
        scheme: the scheme.

    Returns:
        The assignment.

    Raises:
        ValueError: if an expression in `layers=` matches no annotated layer, or a layer cannot
            be quantized.
    """
    _check_patterns(scheme.layers, requested)
    boundary = _boundary(graph)
    result = Assignment(set(), {})
    for step in graph:
        # A layer without weights may be called often, and is annotated once.
        if step.origin not in requested or _keeps_own_config(requested[step.origin]):
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
    step: Step, given: KernelQuantizeConfig | None, at_boundary: bool, scheme: BitPolicy
) -> tuple[bool, KernelQuantizeConfig | None]:
    """Returns whether the layer stays in float, and its config if it has a kernel."""
    has_kernel = _has_kernel(step.layer)
    if given is not None:
        if not has_kernel:
            raise ValueError(
                f'quantize_config: expected a layer with a kernel for {given!r}, got '
                f'{type(step.layer).__name__} {step.name!r}. Annotate it without a config.'
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


def _keeps_own_config(config: Any) -> bool:
    """A config of somebody else's is TFMOT's business: it wraps the layer afterwards."""
    return config is not None and not isinstance(config, KernelQuantizeConfig)


def _check_patterns(layers: Mapping[str, int | None], requested: Mapping[str, Any]) -> None:
    for pattern in layers:
        if not any(re.fullmatch(pattern, name) for name in requested):
            known = ', '.join(sorted(requested))
            raise ValueError(
                f'layers: expected expressions that match the whole name of an annotated layer, '
                f'got {pattern!r}, which matches none of: {known}.'
            )


def _check_supported(step: Step, graph: Graph) -> None:
    layer = step.layer
    leave_out = f'leave it in float with layers={{{step.origin!r}: None}}'
    if spec_of(layer) is None:
        raise ValueError(
            f'model: layer {step.name!r} is a {type(layer).__name__}, which this scheme cannot '
            f'quantize; {leave_out}, or annotate it with a QuantizeConfig of your own.'
        )
    refusal = refusal_of(layer, step.input_shape)
    if refusal is not None:
        raise ValueError(f'model: layer {step.name!r} {refusal}. Change the layer, or {leave_out}.')
    if layer.weights or step.restore:
        calls = [other.name for other in graph if other.layer is layer]
        if len(calls) > 1:
            raise ValueError(
                f'model: layer {layer.name!r} is called {len(calls)} times; expected one call '
                f'per quantized layer, as each has its own ranges. Use separate layers, or '
                f'{leave_out}.'
            )


def _boundary(graph: Graph) -> set[str]:
    """Kernel layers with no other kernel layer before, or none after them."""
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
    return {
        step.name
        for step in order
        if _has_kernel(step.layer) and not (after_kernel[step.name] and before_kernel[step.name])
    }


def _has_kernel(layer: keras.layers.Layer) -> bool:
    spec = spec_of(layer)
    return spec is not None and spec.kind is Kind.KERNEL
