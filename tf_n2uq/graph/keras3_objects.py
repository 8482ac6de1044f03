"""Models, optimizers, losses and metrics of Keras 3 where those of tf_keras are expected."""

from __future__ import annotations

import inspect
import sys
from typing import Any

import tensorflow as tf
import tf_keras as keras

_ROOMS = {'optimizer': 'optimizers', 'loss': 'losses'}


def is_of_keras3(value: Any) -> bool:
    """Tells whether a value is an object of a class of Keras 3, or a function of it.

    A class that derives from one of Keras 3 is of Keras 3, too.
    """
    module = sys.modules.get('keras')
    if module is None or not str(getattr(module, '__version__', '')).startswith('3'):
        return False
    if inspect.isfunction(value):
        return _is_from_keras(value)
    return any(map(_is_from_keras, type(value).__mro__))


def _is_from_keras(value: Any) -> bool:
    return str(getattr(value, '__module__', '')).split('.')[0] == 'keras'


def keras3_model_found(model: Any) -> str:
    """Returns the end of a message about a model of Keras 3: what came, and what to do."""
    return (
        f'{type(model).__name__} {getattr(model, "name", "")!r} of Keras 3. TFMOT works on '
        'Keras 2: give tf_n2uq.from_keras3(model), or build the model with `import tf_keras` in '
        'place of `import keras`.'
    )


def check_compiled_with_tf_keras(**given: Any) -> None:
    """Checks the arguments of `compile`.

    Args:
        **given: optimizers, losses and metrics by the names of their arguments; nests of them, and
            anything that is none.

    Raises:
        TypeError: if one of them is of Keras 3. The error names its counterpart in tf_keras.
    """
    for argument, nest in given.items():
        for value in tf.nest.flatten(nest):
            if is_of_keras3(value):
                name = getattr(value, '__name__', type(value).__name__)
                room = _ROOMS.get(argument, 'metrics')
                known = hasattr(getattr(keras, room), name)
                way_out = f'write tf_keras.{room}.{name}' if known else f'use tf_keras.{room}'
                raise TypeError(
                    f'{argument}: expected one of tf_keras (Keras 2), got {name!r} of Keras 3; '
                    f'{way_out}.'
                )
