"""Losses and metrics that a model adds by itself: calls that no output of the model depends on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq._compat.keras_layers import AddLoss, AddMetric, TFOpLambda
from tf_n2uq._compat.tfmot import QuantizeAnnotate
from tf_n2uq.graph.steps import Ref, Step

# These do something although nobody reads what they return.
_ADDING = (AddLoss, AddMetric, keras.layers.ActivityRegularization)
_REGULARIZERS = (keras.regularizers.L1, keras.regularizers.L2, keras.regularizers.L1L2)


def split_off(steps: Mapping[str, Step], outputs: Any) -> tuple[dict[str, Step], list[Step]]:
    """Separates the calls that only added losses and metrics need from all others.

    Args:
        steps: the calls of a model, each behind those that it reads.
        outputs: the nest of the model's outputs.

    Returns:
        The other calls by name, and those for losses and metrics alone, in order.
    """
    computed = _needed(steps, [ref.step for ref in tf.nest.flatten(outputs)])
    ends = [name for name, step in steps.items() if isinstance(_inside(step.layer), _ADDING)]
    added = _needed(steps, [name for name in ends if name not in computed]) - computed
    inputs = {name for name in added if isinstance(steps[name].layer, keras.layers.InputLayer)}
    added -= inputs
    own = {name: step for name, step in steps.items() if name not in added}
    return own, [step for name, step in steps.items() if name in added]


def read_by(added: Iterable[Step]) -> list[Ref]:
    """Returns the tensors of a graph that its added losses and metrics read.

    Args:
        added: the calls for losses and metrics alone.
    """
    own = {step.name for step in added}
    refs = (ref for step in added for ref in step.inputs if ref.step not in own)
    return list(dict.fromkeys(refs))


def has_unsaved_regularizer(layer: keras.layers.Layer) -> bool:
    """Tells whether a layer has an activity regularizer that its config does not have.

    Every layer takes this argument, and the configs of most layers leave it out.

    Args:
        layer: any layer. A wrapper has that of the layer inside, and none of its own.
    """
    if isinstance(layer, (keras.layers.Wrapper, keras.layers.ActivityRegularization)):
        return False
    has_one = layer.activity_regularizer is not None
    return has_one and 'activity_regularizer' not in layer.get_config()


def regularize(graph: Any, ref: Ref, regularizer: Any, name: str) -> None:
    """Adds the penalty of an `activity_regularizer` on a tensor, beside the outputs of a graph.

    Args:
        graph: a `Graph`, changed in place.
        ref: the tensor.
        regularizer: the regularizer of the layer that has computed the tensor.
        name: the name of this layer.

    Raises:
        ValueError: if it is another regularizer than L1, L2 or both, for which Keras has no layer.
    """
    if type(regularizer) not in _REGULARIZERS:
        kind = getattr(type(regularizer), '__name__', regularizer)
        raise ValueError(
            f'model: layer {name!r} has the activity_regularizer {kind}; expected one of '
            'tf_keras.regularizers L1, L2 or L1L2, which become a layer of their own. Give one of '
            'these, or take the regularizer out, and call add_loss of the model that '
            'quantize_apply returns.'
        )
    factors = {key: float(getattr(regularizer, key, 0.0)) for key in ('l1', 'l2')}
    called = graph.unique_name(f'{name}_activity_regularization')
    # A sum over a whole map is no number of half precision.
    layer = keras.layers.ActivityRegularization(**factors, name=called, dtype='float32')
    graph.added.append(Step(called, layer, args=(ref,)))


def check_added(steps: Iterable[Step], added: Iterable[Step], annotated: Iterable[str]) -> None:
    """Refuses losses and metrics that would be others in the quantized model.

    Args:
        steps: the calls that outputs depend on.
        added: the calls for losses and metrics alone.
        annotated: the names of the annotated layers.

    Raises:
        ValueError: if a layer with weights, whose kernel is about to be another one, is called by
            both; or if a TensorFlow function of a loss is annotated.
    """
    wrapped = set(annotated)
    for step in added:
        if isinstance(step.layer, TFOpLambda) and step.origin in wrapped:
            raise ValueError(
                f'model: expected a model that tf_n2uq.annotate has annotated, as a loss or metric '
                f'of add_loss or add_metric computes with {step.name!r}, got one of '
                'quantize_annotate_model, which loses arguments of such functions. Annotate the '
                'model with tf_n2uq.annotate(model).'
            )
    layers = {id(step.layer) for step in steps if step.layer.weights or step.restore}
    for step in added:
        if id(step.layer) in layers:
            raise ValueError(
                f'model: layer {step.layer.name!r} is called for the outputs, and again for a loss '
                'or metric of add_loss or add_metric; expected losses of tensors that the outputs '
                'depend on. Take the loss out, and call add_loss of the model that quantize_apply '
                'returns.'
            )


def _needed(steps: Mapping[str, Step], names: Iterable[str]) -> set[str]:
    found: set[str] = set()
    stack = list(names)
    while stack:
        name = stack.pop()
        if name not in found:
            found.add(name)
            stack += [ref.step for ref in steps[name].inputs]
    return found


def _inside(layer: keras.layers.Layer) -> keras.layers.Layer:
    return layer.layer if isinstance(layer, QuantizeAnnotate) else layer
