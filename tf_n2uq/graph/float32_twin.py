"""A model that computes in half precision as a model that computes in float32."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras
from absl import logging

from tf_n2uq._compat.keras_models import all_layers, is_functional
from tf_n2uq.graph.graph import Graph, Ref, copy_layer

_HALF_TYPES = ('float16', 'bfloat16')
_HALF = (*_HALF_TYPES, *(f'mixed_{name}' for name in _HALF_TYPES))
_FLOAT32 = 'float32'


def half_precision_of(model: keras.Model) -> str | None:
    """Returns the dtype policy of the first layer that computes in half precision; None for none.

    Args:
        model: any built model.
    """
    # A model has a policy, too, but computes nothing by itself.
    layers = (layer for layer in all_layers(model) if not isinstance(layer, keras.Model))
    policies = (layer.dtype_policy.name for layer in layers)
    return next((name for name in policies if name in _HALF), None)


def float32_twin(model: keras.Model, argument: str = 'model') -> keras.Model:
    """Returns a model with the same weights in which every layer computes in float32.

    An integer file is what the model is in float32. Half precision rounds every number in between,
    so that a comparison of the file with the model would find this rounding.

    Args:
        model: a model. It stays as it is.
        argument: the name of the user's argument, for the warning.

    Returns:
        A new model, and a warning that it takes the place of the other; or `model` itself if no
        layer computes in half precision. A subclassed model, which cannot be copied, is returned
        with a warning, too.
    """
    policy = half_precision_of(model)
    if policy is None:
        return model
    if not is_functional(model):
        logging.warning(
            '%s: layers of the subclassed model %r compute in %s, and Keras cannot copy them to '
            'float32. The differences hold the rounding of this precision, which the file does not '
            'have. Give a Functional model to leave it out.',
            argument,
            model.name,
            policy,
        )
        return model
    logging.warning(
        '%s: layers of %r compute in %s, and the file has no half precision. It is judged by the '
        'same weights in float32.',
        argument,
        model.name,
        policy,
    )
    return in_float32(model)


def in_float32(model: keras.Model) -> keras.Model:
    """Returns a copy of a model in float32.

    Args:
        model: a built Sequential or Functional model.
    """
    graph = Graph.from_model(model)
    # The twin is not trained.
    graph.added = []
    copies: dict[int, keras.layers.Layer] = {}
    for step in graph:
        if isinstance(step.layer, keras.layers.InputLayer):
            continue
        old = step.layer
        # The layer of several calls stays one.
        if id(old) not in copies:
            copies[id(old)] = copy_layer(old, lambda config: config.update(_with_float32(config)))
        step.layer = copies[id(old)]
        step.restore = [(step.layer, arrays) for _, arrays in step.restore]
        step.args, step.kwargs = tf.nest.map_structure(_as_float32, (step.args, step.kwargs))
    return graph.to_model()


def _with_float32(config: Any) -> Any:
    """Returns the config of a layer without half precision, layers inside of it included."""
    if isinstance(config, (list, tuple)):
        changed_list = [_with_float32(each) for each in config]
        return tuple(changed_list) if isinstance(config, tuple) else changed_list
    if not isinstance(config, dict):
        return config
    changed = {key: _with_float32(value) for key, value in config.items()}
    policy = changed.get('dtype')
    if isinstance(policy, dict):
        policy = policy.get('config', {}).get('name')
    return {**changed, 'dtype': _FLOAT32} if policy in _HALF else changed


def _as_float32(leaf: Any) -> Any:
    """Returns an argument of a call, where constants and names of half precision are float32."""
    if isinstance(leaf, Ref):
        return leaf
    if tf.is_tensor(leaf) and leaf.dtype.name in _HALF_TYPES:
        return tf.cast(leaf, tf.float32)
    if isinstance(leaf, tf.DType) and leaf.name in _HALF_TYPES:
        return tf.float32
    return _FLOAT32 if isinstance(leaf, str) and leaf in _HALF_TYPES else leaf
