"""Models for inputs of unknown size, with the sizes that a file needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq._compat.keras_models import nested_inputs
from tf_n2uq.graph.model_ends import input_names


def with_input_shapes(model: keras.Model, shapes: Any) -> keras.Model:
    """Returns a model with the same layers whose inputs have known shapes.

    Args:
        model: a built Sequential or Functional model.
        shapes: for each input, its shape without the batch, such as `(96, 96, 3)`: a shape for the
            only input, a list of shapes in the order of the inputs, or a dictionary of shapes by
            the names of the inputs, where inputs that it does not name keep their shapes. None
            returns the model as it is.

    Returns:
        A model around `model`, whose inputs have the same names and order.

    Raises:
        ValueError: if a shape is missing, is no shape, or does not fit the input.
    """
    if shapes is None:
        return model
    names = input_names(model)
    asked = _by_name(shapes, names)
    inputs = [
        keras.Input(_checked(asked[name], tensor, name), dtype=tensor.dtype, name=name)
        if name in asked
        else keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=name)
        for name, tensor in zip(names, model.inputs, strict=True)
    ]
    nest = tf.nest.pack_sequence_as(nested_inputs(model), inputs)
    return keras.Model(nest, model(nest), name=model.name)


def _by_name(shapes: Any, names: list[str]) -> dict[str, Any]:
    if isinstance(shapes, Mapping):
        unknown = [str(name) for name in shapes if name not in names]
        if unknown:
            raise ValueError(
                f'input_shapes: expected names of inputs, which are {", ".join(names)}, got '
                f'{", ".join(unknown)}. Leave these out.'
            )
        return dict(shapes)
    listed = [shapes] if len(names) == 1 and _is_shape(shapes) else shapes
    if not isinstance(listed, Sequence) or len(listed) != len(names):
        raise ValueError(
            f'input_shapes: expected a shape for each input, of which there are {len(names)} '
            f'({", ".join(names)}), got {shapes!r}. Give one as (96, 96, 3), several as a list '
            'or as a dictionary by the names of the inputs.'
        )
    return dict(zip(names, listed, strict=True))


def _is_shape(value: Any) -> bool:
    return isinstance(value, (tuple, list, tf.TensorShape)) and not any(
        isinstance(size, (tuple, list, tf.TensorShape)) for size in value
    )


def _checked(shape: Any, tensor: tf.Tensor, name: str) -> tuple[int, ...]:
    """Returns a shape that fits an input of a model."""
    free = tuple(tensor.shape[1:])
    sizes = tuple(shape) if _is_shape(shape) else ()
    whole = all(isinstance(size, int) and not isinstance(size, bool) and size > 0 for size in sizes)
    if not whole or not tf.TensorShape(free).is_compatible_with(sizes if whole else [None]):
        raise ValueError(
            f'input_shapes: expected a shape of input {name!r} that fits {free} (None: any size, '
            f'at least 1), without the batch, got {shape!r}. Give one such as (96, 96, 3).'
        )
    return sizes
