"""Custom layers that only call other layers, as the network of these calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq._compat.keras_layers import (
    expects_training,
    inner_layers,
    losses_of_tensors,
    losses_without_inputs,
)
from tf_n2uq._compat.keras_models import (
    call_arguments,
    is_functional,
    nodes_in_order,
    tensors_read,
    without_new_calls,
)
from tf_n2uq.layers.layer_spec import spec_of

# Layers of these packages are known, or are refused by their own name.
_PACKAGES = ('tf_keras.', 'keras.', 'tensorflow', 'tf_n2uq.')
# Both networks compute with the same operators, perhaps in another order.
_TOLERANCE = 1e-4


def is_custom(layer: keras.layers.Layer) -> bool:
    """Tells whether a layer is of a user's class that no spec knows."""
    if isinstance(layer, keras.layers.Lambda) or spec_of(layer) is not None:
        return False
    return not type(layer).__module__.startswith(_PACKAGES)


def networks_of(model: keras.Model, keeps: Callable[[str], bool]) -> dict[int, keras.Model]:
    """Returns the networks of the custom layers in a model, by the id of the layer.

    Layers that `network_of` cannot write as a network are not among them.

    Args:
        model: a built Sequential or Functional model.
        keeps: tells by its name whether a layer stays as it is.
    """
    networks: dict[int, keras.Model] = {}
    parents = [model]
    while parents:
        for node in nodes_in_order(parents.pop()):
            layer = node.layer
            if isinstance(layer, keras.Model) and is_functional(layer):
                parents.append(layer)
            elif is_custom(layer) and id(layer) not in networks and not keeps(layer.name):
                network = network_of(node)
                if network is not None:
                    networks[id(layer)] = network
                    parents.append(network)
    return networks


def network_of(node: Any) -> keras.Model | None:
    """Returns the calls inside of a custom layer as a model, with the same layers and variables.

    Args:
        node: Keras' record of a call of a layer for which `is_custom` holds.

    Returns:
        A Functional model that computes the same at inference, and adds the same losses. None for a
        layer that cannot be written so: one that has variables of its own, is called with more than
        one tensor or list of tensors, does something else in training than to pass `training` on,
        adds losses that are functions, or computes in a way that Keras cannot trace.
    """
    layer = node.layer
    args, kwargs = call_arguments(node)
    if len(args) != 1 or any(value is not None for value in kwargs.values()):
        return None
    if len(tensors_read(node)) != len(tf.nest.flatten(args)) or _has_own_variables(layer):
        return None
    if losses_without_inputs(layer):
        return None
    with without_new_calls(layer):
        try:
            model = _traced(layer, args[0], None)
            if expects_training(layer):
                # Code for training alone would be lost.
                counts = [len(each.layers) for each in (model, _traced(layer, args[0], True))]
                if counts[0] != counts[1]:
                    return None
            return model if _computes_the_same(layer, model) else None
        # The code of the layer is the user's, and may raise anything.
        except Exception:
            return None


def _traced(layer: keras.layers.Layer, given: Any, training: bool | None) -> keras.Model:
    inputs = tf.nest.map_structure(
        lambda tensor: keras.Input(tensor.shape[1:], tensor.shape[0], dtype=tensor.dtype), given
    )
    kwargs = {'training': training} if expects_training(layer) else {}
    with losses_of_tensors(layer) as losses:
        model = keras.Model(inputs, layer.call(inputs, **kwargs), name=layer.name)
    for loss in losses:
        model.add_loss(loss)
    return model


def _has_own_variables(layer: keras.layers.Layer) -> bool:
    inner = {id(weight) for each in inner_layers(layer) for weight in each.weights}
    return any(id(weight) not in inner for weight in layer.weights)


def _computes_the_same(layer: keras.layers.Layer, model: keras.Model) -> bool:
    """Compares both on random numbers, where the sizes are known."""
    shapes = [(2, *tensor.shape[1:]) for tensor in model.inputs]
    if any(None in shape for shape in shapes):
        return True
    rng = np.random.default_rng(0)
    data = [tf.constant(rng.normal(size=shape), tf.float32) for shape in shapes]
    given = tf.nest.pack_sequence_as(model.input, data)
    pairs = zip(
        tf.nest.flatten(layer(given, training=False) if expects_training(layer) else layer(given)),
        tf.nest.flatten(model(given, training=False)),
        strict=True,
    )
    return all(np.allclose(own, other, _TOLERANCE, _TOLERANCE) for own, other in pairs)
