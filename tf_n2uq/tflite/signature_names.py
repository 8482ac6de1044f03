"""The names that the outputs of a file have in its signature."""

from __future__ import annotations

import re

import tensorflow as tf
import tf_keras as keras

from tf_n2uq._compat.keras_models import nested_outputs
from tf_n2uq.graph.graph import Graph, Ref, Step
from tf_n2uq.graph.model_ends import keys_of
from tf_n2uq.layers import Quantize, QuantizedKernel
from tf_n2uq.layers.layer_spec import activation_name


def float_output_names(model: keras.Model) -> list[str]:
    """Returns the names of the outputs in the order of `model.outputs`.

    An output that is an entry of a dictionary has the name of its key. Any other output has the
    name that its layer has in the float model, which the rewrite gives to the last layer. If
    several outputs come from one layer, Keras' numbers tell them apart: `head`, `head_1`.

    In networks of earlier versions, the last layer has another name, such as `head_range`. Their
    outputs have the name of the layer that the rewrite has wrapped, or has put quantizers behind.

    Args:
        model: a quantized Sequential or Functional model.
    """
    graph = Graph.of_layers(model)
    names = [_float_name(graph, ref) for ref in tf.nest.flatten(graph.outputs)]
    return keys_of(nested_outputs(model)) or _numbered(names)


def returns_dictionary(model: keras.Model) -> bool:
    """Tells whether a model returns a dictionary of outputs, whose keys name them.

    Args:
        model: a built Sequential or Functional model.
    """
    return bool(keys_of(nested_outputs(model)))


def _numbered(names: list[str]) -> list[str]:
    """Returns names that differ, with the numbers that Keras gives its output names."""
    found: list[str] = []
    for name in names:
        candidate, count = name, 0
        while candidate in found:
            count += 1
            candidate = f'{name}_{count}'
        found.append(candidate)
    return found


def _float_name(graph: Graph, ref: Ref) -> str:
    """Returns the name that the layer behind a tensor has in the float model."""
    step = _maker(graph, ref)
    layer, last = _float_layer(step), graph.producer(ref).layer
    places = '|'.join(re.escape(name) for name in {step.layer.name, layer.name})
    if isinstance(last, Quantize) and not re.fullmatch(
        rf'({places})_(range|thresholds)(_\d+)?', last.name
    ):
        return last.name
    if len(step.inputs) != 1:
        return layer.name
    front = _maker(graph, step.inputs[0])
    before = _float_layer(front)
    if type(layer) is keras.layers.Activation and _may_have_activation(before):
        # The rewrite makes the activation of a layer a layer of its own.
        name = _float_name(graph, front.output)
        return name if layer.name == f'{name}_{activation_name(layer.activation)}' else layer.name
    # The rewrite makes two layers of a separable convolution.
    whole = layer.name.removesuffix('_pointwise')
    is_pointwise = whole != layer.name and before.name == f'{whole}_depthwise'
    return whole if is_pointwise else layer.name


def _maker(graph: Graph, ref: Ref) -> Step:
    """Returns the step that makes a tensor, past quantizers."""
    step = graph.producer(ref)
    while isinstance(step.layer, Quantize):
        step = graph.producer(step.inputs[0])
    return step


def _float_layer(step: Step) -> keras.layers.Layer:
    return step.layer.layer if isinstance(step.layer, QuantizedKernel) else step.layer


def _may_have_activation(layer: keras.layers.Layer) -> bool:
    return hasattr(layer, 'activation') and type(layer) is not keras.layers.Activation
