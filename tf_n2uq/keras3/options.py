"""Options of layers: dtypes, activations, initializers, regularizers and constraints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import tf_keras as keras

from tf_n2uq.keras3.entry import Entry
from tf_n2uq.layers import activation_functions as functions

# Functions that are the same in Keras 3 and in tf_keras.
SAME_ACTIVATIONS = frozenset(
    {'elu', 'exponential', 'gelu', 'leaky_relu', 'linear', 'log_softmax', 'mish', 'relu', 'relu6'}
    | {'selu', 'sigmoid', 'silu', 'softmax', 'softplus', 'softsign', 'swish', 'tanh'}
)
# Functions that tf_keras lacks, and one that it has by the same name for another function.
OTHER_ACTIVATIONS: Mapping[str, Callable[[Any], Any]] = {
    'celu': functions.keras3_celu,
    'hard_shrink': functions.keras3_hard_shrink,
    'hard_sigmoid': functions.keras3_hard_sigmoid,
    'hard_silu': functions.keras3_hard_silu,
    'hard_swish': functions.keras3_hard_silu,
    'hard_tanh': functions.keras3_hard_tanh,
    'log_sigmoid': functions.keras3_log_sigmoid,
    'soft_shrink': functions.keras3_soft_shrink,
    'sparse_plus': functions.keras3_sparse_plus,
    'sparse_sigmoid': functions.keras3_sparse_sigmoid,
    'squareplus': functions.keras3_squareplus,
    'tanh_shrink': functions.keras3_tanh_shrink,
}
_INITIALIZERS = (
    *('Constant', 'GlorotNormal', 'GlorotUniform', 'HeNormal', 'HeUniform', 'LecunNormal'),
    *('LecunUniform', 'Ones', 'Orthogonal', 'RandomNormal', 'RandomUniform', 'TruncatedNormal'),
    *('VarianceScaling', 'Zeros'),
)
_REGULARIZERS = ('L1', 'L1L2', 'L2')
_CONSTRAINTS = ('MaxNorm', 'MinMaxNorm', 'NonNeg', 'UnitNorm')
_POLICIES = ('DTypePolicy', 'FloatDTypePolicy')
_DTYPES = ('float16', 'float32', 'float64', 'bfloat16', 'mixed_float16', 'mixed_bfloat16')
_OTHER_DTYPES = ('bool', 'uint8', 'int8', 'int16', 'int32', 'int64')


def dtype_of(entry: Entry) -> str | None:
    """Returns the name of a layer's dtype policy.

    Raises:
        TranslationError: if it is no policy of floating numbers.
    """
    given = entry.config.get('dtype')
    if isinstance(given, dict):
        config = given.get('config')
        known = given.get('class_name') in _POLICIES and isinstance(config, dict)
        given = config.get('name') if known and config is not None else given.get('class_name')
    if given is None or given in (*_DTYPES, *_OTHER_DTYPES):
        return given
    raise entry.refusal(
        f'has the dtype policy {given!r}, which tf_keras does not have',
        "give the float model, with a policy such as 'float32' or 'mixed_float16'",
    )


def activation_of(entry: Entry, value: Any, trusted: Mapping[str, Any]) -> Any:
    """Returns what tf_keras takes for an activation.

    Args:
        entry: the layer, for messages.
        value: the name of a function, or an entry for one.
        trusted: the caller's own functions by their names.

    Returns:
        A name that means the same in tf_keras, or a function.

    Raises:
        TranslationError: if tf_keras has no such function.
    """
    name = value
    if isinstance(value, dict):
        name = value['config'] if value.get('class_name') == 'function' else value['class_name']
    if name is None or name in SAME_ACTIVATIONS:
        return name
    for functions_by_name in (trusted, OTHER_ACTIVATIONS):
        if name in functions_by_name:
            return functions_by_name[name]
    raise entry.refusal(
        f'has the activation {name!r}, which from_keras3 cannot translate',
        f'pass custom_objects={{{name!r}: …}} with a function of TensorFlow, or use one of '
        f'{sorted(SAME_ACTIVATIONS | set(OTHER_ACTIVATIONS))}',
    )


def object_of(entry: Entry, option: str, value: Any, trusted: Mapping[str, Any]) -> Any:
    """Returns an initializer, a regularizer or a constraint, as tf_keras takes it.

    A layer gets its weights from the Keras 3 model. So an initializer that tf_keras does not have
    is replaced by the layer's default, which None stands for.

    Args:
        entry: the layer, for messages.
        option: the name of the option.
        value: an entry, a name or None.
        trusted: the caller's own classes by their names.

    Raises:
        TranslationError: if tf_keras has no such regularizer or constraint.
    """
    room, names = _room_of(option)
    if value is None:
        return None
    description = value if isinstance(value, dict) else {'class_name': value, 'config': {}}
    name, config = str(description.get('class_name')), description.get('config')
    if name in trusted:
        return trusted[name](**config) if isinstance(config, dict) else trusted[name]
    if name in names and isinstance(config, dict):
        numbers = {key: each for key, each in config.items() if _is_number(each)}
        try:
            return getattr(room, name)(**numbers)
        except (TypeError, ValueError):
            # Keras 3 has options of initializers that tf_keras lacks.
            name = f'{name} with {sorted(numbers)}'
    if room is keras.initializers:
        return None
    raise entry.refusal(
        f'has {option}={name!r}, which from_keras3 cannot translate',
        f'use one of {list(names)}, or set {option}=None',
    )


def _room_of(option: str) -> tuple[Any, tuple[str, ...]]:
    if option.endswith('initializer'):
        return keras.initializers, _INITIALIZERS
    if option.endswith('regularizer'):
        return keras.regularizers, _REGULARIZERS
    return keras.constraints, _CONSTRAINTS


def _is_number(value: Any) -> bool:
    return value is not None and isinstance(value, (int, float, str, list))
