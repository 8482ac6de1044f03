"""The names by which users address the inputs and outputs of a model."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq._compat.keras_models import nested_inputs, nested_outputs


def keys_of(nest: Any) -> list[str]:
    """Returns the sorted keys of a dictionary of tensors; none for any other nest."""
    if not isinstance(nest, dict) or any(map(tf.nest.is_nested, nest.values())):
        return []
    return [str(key) for key in sorted(nest)]


def input_names(model: keras.Model) -> list[str]:
    """Returns the names of the inputs in the order of `model.inputs`.

    An input that is an entry of a dictionary has the name of its key, and any other input has the
    name of its layer.

    Args:
        model: a built Sequential or Functional model.
    """
    return keys_of(nested_inputs(model)) or list(model.input_names)


def output_names(model: keras.Model) -> list[str]:
    """Returns the names of the outputs in the order of `model.outputs`.

    An output that is an entry of a dictionary has the name of its key, and any other output has
    the name of its layer, as Keras numbers it.

    Args:
        model: a built Sequential or Functional model.
    """
    return keys_of(nested_outputs(model)) or list(model.output_names)
