"""The classes and functions that the config of a Keras 3 file may name."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from tf_n2uq.keras3.options import OTHER_ACTIVATIONS, SAME_ACTIVATIONS
from tf_n2uq.untrusted.refusal import RefusedError

_MODULES = frozenset(
    {'builtins', 'keras', 'keras.activations', 'keras.constraints', 'keras.dtype_policies'}
    | {'keras.initializers', 'keras.layers', 'keras.regularizers', 'keras.ops'}
    | {'keras.src.activations.activations', 'keras.src.applications.convnext'}
    | {'keras.src.applications.inception_resnet_v2', 'keras.src.models.functional'}
    | {'keras.src.models.sequential', 'keras.src.ops.core', 'keras.src.ops.image'}
    | {'keras.src.ops.linalg', 'keras.src.ops.math', 'keras.src.ops.nn', 'keras.src.ops.numpy'}
)
_ACTIVATIONS = SAME_ACTIVATIONS | frozenset(OTHER_ACTIVATIONS)
# How a model was compiled. Nothing here trains, so nobody reads it.
_COMPILATION = 'compile_config'


def checked(config: Any, trusted: Collection[str]) -> Any:
    """Returns a copy of a file's config without what is not read, if it names only what is known.

    Keras 3 would import the modules that a file names. Here only those of Keras' layers,
    operations and their options may stand in a file. Initializers are left out, because a layer
    gets its weights from the file.

    Args:
        config: as `json.loads` returned it.
        trusted: the names of the caller's own classes and functions.

    Raises:
        RefusedError: if it names something else, or holds code.
    """
    if isinstance(config, list):
        return [checked(value, trusted) for value in config]
    if not isinstance(config, dict):
        return config
    if 'class_name' in config:
        _check_entry(config, trusted)
    return {
        key: 'zeros' if key.endswith('initializer') else checked(value, trusted)
        for key, value in config.items()
        if key != _COMPILATION
    }


def _check_entry(entry: dict[str, Any], trusted: Collection[str]) -> None:
    name, module = str(entry['class_name']), entry.get('module')
    registered = str(entry.get('registered_name'))
    if name == '__lambda__':
        raise RefusedError('code in place of a function')
    if name == 'function':
        function = str(entry.get('config'))
        if function not in _ACTIVATIONS and function not in trusted:
            raise RefusedError(f'the function {function!r}', function)
        if function in trusted:
            return
    elif name in trusted or registered in trusted:
        return
    if module is not None and module not in _MODULES:
        origin = f' of the module {module!r}'
        raise RefusedError(f'the class {name!r}{origin}', name)
    if not name.isidentifier() or (registered != 'None' and not _is_own_name(name, registered)):
        raise RefusedError(f'the class {name!r}, registered as {registered!r}', name)


def _is_own_name(name: str, registered: str) -> bool:
    """Returns whether Keras itself registers a class, or a function, by such a name."""
    return registered in (name, 'function', f'keras>{name}')
