"""Multi-head attention as layers that can be quantized, and one that stays in float."""

from __future__ import annotations

import inspect
import math
from collections.abc import Collection
from typing import Any

import numpy as np
import tf_keras as keras

from tf_n2uq.graph.graph import Graph, Ref, Step
from tf_n2uq.layers import DotProductAttention

_LAYERS = keras.layers
# The parts of `MultiHeadAttention` with weights, in the order of its weights.
_PROJECTIONS = ('query', 'key', 'value', 'output')


def dissolve_attention(graph: Graph, left_out: Collection[str]) -> None:
    """Replaces `MultiHeadAttention` by projections and a `DotProductAttention`, in place.

    The projections of query, key and value are `Dense` layers, and get the words 'query', 'key' and
    'value' behind the name of the step. The products and the softmax get the word 'products'. The
    last projection is a `Dense` that keeps the name. Shared layers stay shared.

    A layer stays whole if it returns its weights of attention, is told whether it trains, has
    constraints or a loss on its activities, projects its output to several axes, or has a mask for
    images.

    Args:
        graph: the graph as it was read from a model.
        left_out: the names of layers that stay whole.
    """
    done: set[int] = set()
    for step in graph:
        layer = step.layer
        if type(layer) is not _LAYERS.MultiHeadAttention or id(layer) in done:
            continue
        done.add(id(layer))
        calls = graph.calls_of(layer)
        arguments = [_arguments(graph, call) for call in calls]
        if step.origin not in left_out and _is_plain(layer) and all(arguments):
            _dissolve(graph, layer, calls, arguments)


def _arguments(graph: Graph, step: Step) -> dict[str, Any]:
    """Returns the arguments of a call; {} if it has some that cannot be dissolved."""
    bound = inspect.signature(step.layer.call).bind(*step.args, **step.kwargs)
    bound.apply_defaults()
    call = dict(bound.arguments)
    if call['return_attention_scores'] is not False or call['training'] is not None:
        return {}
    mask, causal = call['attention_mask'], call['use_causal_mask']
    if not isinstance(causal, bool) or not (mask is None or isinstance(mask, Ref)):
        return {}
    if (causal or mask is not None) and len(graph.shape(call['query'])) != 3:
        return {}
    call['key'] = call['value'] if call['key'] is None else call['key']
    return call


def _is_plain(layer: keras.layers.Layer) -> bool:
    config = layer.get_config()
    bound = ('kernel_constraint', 'bias_constraint', 'activity_regularizer')
    return all(config[name] is None for name in bound) and np.size(config['output_shape']) == 1


def _dissolve(
    graph: Graph, layer: keras.layers.Layer, calls: list[Step], arguments: list[dict[str, Any]]
) -> None:
    """Replaces all calls of a layer by calls of the same projections."""
    config = layer.get_config()
    ((_, weights),) = calls[0].restore
    arrays = _weights_of(weights, config['use_bias'])
    dense = {
        name: _projection(layer, config, name, kernel.shape[-1])
        for name, (kernel, *_) in arrays.items()
    }
    for number, (step, call) in enumerate(zip(calls, arguments, strict=True)):
        add = graph.call_again if number else graph.add
        projected = [add(dense[name], call[name]) for name in _PROJECTIONS[:3]]
        products = graph.add(_products(step, call, config))
        masks = [] if call['attention_mask'] is None else [call['attention_mask']]
        products.replace(products.layer, [*(part.output for part in projected), *masks])
        for part in (*projected, products):
            # Whoever names the layer means all of its parts.
            part.origin = step.origin
            part.input_shape = [graph.shape(ref) for ref in part.inputs]
        step.replace(dense['output'], products.output)
        step.input_shape = graph.shape(products.output)
        if not number:
            for name, part in zip(_PROJECTIONS, (*projected, step), strict=True):
                part.restore.append((dense[name], arrays[name]))


def _weights_of(weights: list[np.ndarray], use_bias: bool) -> dict[str, list[np.ndarray]]:
    """Returns kernel and bias of each projection as those of a `Dense`."""
    size = 2 if use_bias else 1
    parts = [weights[start : start + size] for start in range(0, len(weights), size)]
    found = {}
    for name, (kernel, *bias) in zip(_PROJECTIONS, parts, strict=True):
        # The axes of the heads and of their channels become one.
        units = kernel.shape[-1] if name == 'output' else math.prod(kernel.shape[1:])
        found[name] = [kernel.reshape(-1, units), *(each.reshape(-1) for each in bias)]
    return found


def _projection(
    layer: keras.layers.Layer, config: dict[str, Any], name: str, units: int
) -> keras.layers.Dense:
    shared = ('use_bias', 'kernel_initializer', 'bias_initializer')
    regularizers = ('kernel_regularizer', 'bias_regularizer')
    return _LAYERS.Dense(
        units,
        name=layer.name if name == 'output' else f'{layer.name}_{name}',
        trainable=layer.trainable,
        dtype=layer.dtype_policy.name,
        **{argument: config[argument] for argument in (*shared, *regularizers)},
    )


def _products(step: Step, call: dict[str, Any], config: dict[str, Any]) -> DotProductAttention:
    axes = config['attention_axes']
    return DotProductAttention(
        config['num_heads'],
        dropout=config['dropout'],
        attention_axes=None if axes is None else np.atleast_1d(axes).tolist(),
        causal=call['use_causal_mask'],
        name=f'{step.name}_products',
        dtype=step.layer.dtype_policy.name,
    )
