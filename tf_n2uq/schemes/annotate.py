"""Annotates networks for quantization, also those that TFMOT itself refuses."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras
from absl import logging

from tf_n2uq._compat.keras_layers import (
    ClassMethod,
    InstanceProperty,
    TFOpLambda,
    losses_without_inputs,
)
from tf_n2uq._compat.keras_models import all_layers
from tf_n2uq._compat.tfmot import QuantizeAnnotate
from tf_n2uq.graph.added_losses import (
    check_added,
    has_unsaved_regularizer,
    read_by,
    regularize,
)
from tf_n2uq.graph.checks import check_model
from tf_n2uq.graph.graph import Graph, Step
from tf_n2uq.graph.keras3_objects import is_of_keras3
from tf_n2uq.graph.masks import check_no_masks
from tf_n2uq.keras3 import from_keras3
from tf_n2uq.layers import DotProductAttention
from tf_n2uq.layers.layer_spec import refusal_of
from tf_n2uq.schemes.annotation.application_layers import replace_application_layers
from tf_n2uq.schemes.annotation.attention import dissolve_attention
from tf_n2uq.schemes.annotation.custom_layers import networks_of
from tf_n2uq.schemes.annotation.fusions import fuse
from tf_n2uq.schemes.annotation.tf_functions import replace_operators
from tf_n2uq.schemes.rewrite.output_names import name_outputs
from tf_n2uq.schemes.rewrite.pruned import check_stripped

_LAYERS = keras.layers
# These layers compute with code of the user, which no scheme can know.
_HOLD_CODE = (TFOpLambda, ClassMethod, InstanceProperty, _LAYERS.Lambda)
# No integer operators compute these layers of Keras, whatever their settings are.
_FLOAT = (
    *(_LAYERS.RNN, _LAYERS.LSTM, _LAYERS.GRU, _LAYERS.SimpleRNN, _LAYERS.Bidirectional),
    *(_LAYERS.ConvLSTM1D, _LAYERS.ConvLSTM2D, _LAYERS.ConvLSTM3D, _LAYERS.TimeDistributed),
    *(_LAYERS.Embedding, _LAYERS.Masking, _LAYERS.Dot),
    *(_LAYERS.Attention, _LAYERS.AdditiveAttention, _LAYERS.MultiHeadAttention),
)


def annotate(model: Any, leave_out: str | Sequence[str] = ()) -> keras.Model:
    """Annotates a model for `tfmot.quantization.keras.quantize_apply`, whatever it is made of.

    This function first rewrites the network with layers that the schemes know. Then it annotates
    every layer, as `tfmot.quantization.keras.quantize_annotate_model` does. The new network
    computes the same as `model`, up to rounding in float:

    - Models inside the model are dissolved into their layers. A layer whose name is taken gets
      the inner model's name in front. The last layer of an inner model at the end gets the name of
      this inner model, so that the outputs keep their names.
    - So are layers of your own classes that only call Keras layers and TensorFlow functions, such
      as a squeeze-and-excitation block: they have no variables of their own, and compute with one
      tensor or list of tensors, the same in training and at inference.
    - TensorFlow functions of tensors (`x + 1`, `tf.nn.relu(x)`, …) become layers of the same
      name. A `tf.stop_gradient` no longer stops the gradient.
    - Hard swish and hard sigmoid, written as several layers, become one.
    - `MultiHeadAttention` becomes `Dense` projections, which can be quantized, and a
      `tf_n2uq.layers.DotProductAttention`, which stays in float.
    - Layers that `tf_keras.applications` define for themselves become others, which load without
      custom objects.

    A model of Keras 3 first becomes one of tf_keras, see `tf_n2uq.from_keras3`.

    `Lambda` layers, TensorFlow functions for which there is no layer, and layers without integer
    operators, such as `LSTM`, `GRU`, `Embedding` and `TimeDistributed`, are not annotated and stay
    in float. A warning names them. A layer that has an annotation already, with or without a
    `QuantizeConfig`, keeps it.

    Losses and metrics of tensors, which `add_loss` and `add_metric` of the model or of dissolved
    layers have added, stay with the model in float, and are no part of a file. A warning tells of
    losses by `model.add_loss` of a function, which computes with the variables of `model`.

    Args:
        model: a built Sequential or Functional model of tf_keras or Keras 3.
        leave_out: regular expressions for the names of layers that are not annotated and so stay
            in float. An expression must match the whole name that a layer has after inner models
            have been dissolved.

    Returns:
        A new model with the weights of `model`, not compiled.

    Raises:
        TypeError: if `model` is not a model of tf_keras or Keras 3, or `leave_out` is no string and
            no list of strings.
        ValueError: if the model is subclassed or not built, or an inner model that does more than
            call layers; if it has wrappers that prune or cluster, which are to be stripped first;
            if a function computes with a `tf.Variable` that is no weight of the model; if a loss of
            `add_loss` calls a layer of the model again; if a mask of Keras reaches a layer that is
            annotated; if an expression is not valid or matches no layer; or if `from_keras3` has no
            counterpart for a layer.
    """
    if is_of_keras3(model):
        model = from_keras3(model)
    check_model(model)
    check_stripped(all_layers(model))
    patterns = _checked_patterns(leave_out)

    def is_left_out(name: str) -> bool:
        return any(pattern.fullmatch(name) for pattern in patterns)

    graph = Graph.from_model(model, networks_of(model, is_left_out))
    names = _output_names(model)
    _tell_of_functions(model)
    check_added(graph, graph.added, ())
    _check_no_variables(graph)
    configs = _unwrap(graph)
    left_out = _matching(graph, patterns)
    own = graph.outputs
    # Nothing is merged over a tensor that somebody reads.
    graph.outputs = (own, read_by(graph.added))
    replace_operators(graph)
    replace_application_layers(graph)
    kept = left_out | {name for name, config in configs.items() if config is not None}
    dissolve_attention(graph, kept)
    fuse(graph, kept)
    graph.outputs, _ = graph.outputs
    _keep_regularizers(graph)
    name_outputs(graph, names)
    _wrap(graph, configs, left_out)
    annotated = {step.name for step in graph if isinstance(step.layer, QuantizeAnnotate)}
    check_no_masks(graph, annotated)
    return graph.to_model()


def _output_names(model: keras.Model) -> list[str]:
    """Returns the names of the outputs without annotations, which have names of their own."""
    annotated = {
        layer.name: layer.layer.name
        for layer in model.layers
        if isinstance(layer, QuantizeAnnotate)
    }
    return [annotated.get(name, name) for name in model.output_names]


def _tell_of_functions(model: keras.Model) -> None:
    """Warns of losses that are functions, which compute with variables of the user's model."""
    models = [each for each in all_layers(model) if isinstance(each, keras.Model)]
    named = [each.name for each in models if losses_without_inputs(each)]
    if named:
        logging.warning(
            'model: losses that model.add_loss has got as functions are left out: of %s. They '
            'compute with variables of this model. Call add_loss of the model that quantize_apply '
            'returns, with functions of its own variables.',
            ', '.join(named),
        )


def _keep_regularizers(graph: Graph) -> None:
    """Makes layers of those activity regularizers that the configs of their layers do not have."""
    kept = [step for step in graph if has_unsaved_regularizer(step.layer)]
    for step in kept:
        regularize(graph, step.output, step.layer.activity_regularizer, step.name)
    for step in kept:
        step.layer.activity_regularizer = None


def _check_no_variables(graph: Graph) -> None:
    for step in [*graph, *graph.added]:
        if any(isinstance(leaf, tf.Variable) for leaf in tf.nest.flatten((step.args, step.kwargs))):
            raise ValueError(
                f'model: layer {step.name!r} computes with a tf.Variable, which is no weight of '
                'the model and cannot be copied with it; expected tensors and constants. Make the '
                'variable a weight of a layer such as tf_n2uq.layers.ChannelScale, or a constant '
                'with variable.numpy().'
            )


def _unwrap(graph: Graph) -> dict[str, Any]:
    """Takes the annotations off and returns `{layer name: QuantizeConfig or None}`."""
    configs = {}
    for step in [*graph, *graph.added]:
        if isinstance(step.layer, QuantizeAnnotate):
            configs[step.origin] = step.layer.quantize_config
            step.layer = step.layer.layer
            step.restore = [(step.layer, arrays) for _, arrays in step.restore]
    return configs


def _matching(graph: Graph, patterns: Sequence[re.Pattern[str]]) -> set[str]:
    """Returns the names of the layers that expressions match."""
    names = sorted(
        {step.origin for step in graph if not isinstance(step.layer, _LAYERS.InputLayer)}
    )
    found = set()
    for pattern in patterns:
        matching = {name for name in names if pattern.fullmatch(name)}
        if not matching:
            raise ValueError(
                f'leave_out: expected expressions that match the whole name of a layer, got '
                f'{pattern.pattern!r}, which matches none of: {", ".join(names)}; correct the '
                'expression.'
            )
        found |= matching
    return found


def _checked_patterns(leave_out: str | Sequence[str]) -> list[re.Pattern[str]]:
    patterns = [leave_out] if isinstance(leave_out, str) else leave_out
    if not isinstance(patterns, (list, tuple, set, frozenset)) or not all(
        isinstance(pattern, str) for pattern in patterns
    ):
        raise TypeError(
            "leave_out: expected a regular expression or a list of them, such as ['head', "
            f"'block1_.*'], got {leave_out!r}; give such a list."
        )
    try:
        return [re.compile(pattern) for pattern in patterns]
    except re.error as error:
        raise ValueError(
            f'leave_out: expected regular expressions, got {error.pattern!r} ({error}); correct '
            'the expression.'
        ) from error


def _wrap(graph: Graph, configs: Mapping[str, Any], left_out: set[str]) -> None:
    """Annotates all layers that can be and are not left out."""
    wrappers: dict[int, QuantizeAnnotate] = {}
    unknown: list[Step] = []
    in_float: list[Step] = []
    for step in graph:
        layer, config = step.layer, configs.get(step.origin)
        if isinstance(layer, _LAYERS.InputLayer) or step.origin in left_out:
            continue
        if config is None and isinstance(layer, _HOLD_CODE):
            unknown.append(step)
            continue
        if isinstance(layer, DotProductAttention):
            continue
        if config is None and type(layer) in _FLOAT:
            in_float.append(step)
            continue
        _check_can_be_annotated(step)
        # A layer that is called several times has one annotation.
        if id(layer) not in wrappers:
            wrappers[id(layer)] = QuantizeAnnotate(layer, config)
        step.layer = wrappers[id(layer)]
    if unknown:
        logging.warning(
            'model: these layers hold code, so they are not annotated and stay in float: %s. '
            'Write them with Keras layers, such as tf_n2uq.layers.DepthToSpace for a Lambda of '
            'tf.nn.depth_to_space, or call the functions of a Lambda directly on the tensors, or '
            'name the layers in leave_out.',
            ', '.join(f'{step.name} ({_function_of(step.layer)})' for step in unknown),
        )
    if in_float:
        logging.warning(
            'model: no integer operators compute these layers, so they are not annotated and stay '
            'in float: %s. Convert the model with allow_float=True.',
            ', '.join(f'{step.name} ({type(step.layer).__name__})' for step in in_float),
        )


def _check_can_be_annotated(step: Step) -> None:
    # TFMOT's annotation calls the layer with `training=None`, which this layer does not take.
    if isinstance(step.layer, _LAYERS.RandomCrop):
        raise ValueError(
            f'model: layer {step.name!r} {refusal_of(step.layer)}. Replace the layer, or leave it '
            f'in float with leave_out={step.name!r}.'
        )


def _function_of(layer: keras.layers.Layer) -> str:
    symbol = getattr(layer, 'symbol', None)
    return f'tf.{symbol}' if symbol else type(layer).__name__
