"""The config of an untrusted model: what it names, and what Keras gets of it.

Keras finds the class or function of an entry in many ways: by `registered_name`, by `class_name`
in a list that depends on where the entry stands, by `module` and `class_name`, whatever the module
is, or by a string alone (`activation='relu'`). So every entry is checked, wherever it stands, and
all of its names have to lead to one known class.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from tf_n2uq.tflite.allowed_layers import (
    ACTIVATION_MODULES,
    ACTIVATIONS,
    NAMES_OF_ARGUMENTS,
    allowed_classes,
    registered_classes,
    registered_functions,
)
from tf_n2uq.untrusted.refusal import RefusedError
from tf_n2uq.untrusted.settings import check_settings

# Entries that are data, and the keys that they may have. With a `module`, Keras would import it.
_DATA = {
    '__numpy__': {'class_name', 'config'},
    '__tensor__': {'class_name', 'config'},
    '__tuple__': {'class_name', 'items'},
    'TensorShape': {'class_name', 'items'},
}
# Others, such as 'S1000000000', make a large array of a short list.
_DTYPES = {'bool', 'float16', 'float32', 'float64'} | {
    f'{sign}int{bits}' for sign in ('', 'u') for bits in (8, 16, 32, 64)
}
# Stands in a call for the name of the layer whose output is read.
_CONSTANT = '_CONSTANT_VALUE'
# Of a `BorderScale`, which stores a factor per row and column and multiplies all pairs of them.
_MOST_PIXELS = 2**24
# How a model was compiled; it may name losses and optimizers, and nothing here trains.
_COMPILATION = 'compile_config'


class ConfigCheck:
    """Refuses a config that names anything but known classes and functions."""

    def __init__(self, trusted: Collection[str]) -> None:
        """Makes a check.

        Args:
            trusted: the names of the caller's own classes and functions.
        """
        self._trusted = frozenset(trusted)
        self._functions = registered_functions()
        self._registered = registered_classes()
        self._allowed = allowed_classes()

    def check(self, config: Any) -> None:
        """Checks a config before anything is made of it.

        Args:
            config: as `json.loads` returned it.

        Raises:
            RefusedError: if it names something else, or if a setting of a known layer takes
                memory or time out of proportion.
        """
        if isinstance(config, list):
            for value in config:
                self.check(value)
        elif isinstance(config, dict):
            if 'class_name' in config:
                self._check_entry(config)
            for call in config.get('inbound_nodes') or ():
                _check_call(call)
            for key, value in config.items():
                if key != _COMPILATION:
                    self._check_argument(key, value)
                    self.check(value)

    def _check_entry(self, entry: dict[str, Any]) -> None:
        name = entry['class_name']
        if name == 'function':
            self._check_function(entry)
        elif isinstance(name, str) and name in _DATA:
            _check_data(entry)
        else:
            self._check_class(entry)

    def _check_function(self, entry: dict[str, Any]) -> None:
        name = str(entry.get('config'))
        if name in self._trusted:
            return
        # Keras looks for `registered_name`, or for `config` if the module is 'builtins'; in that
        # case it writes 'function' for the other one.
        known = name in ACTIVATIONS and entry.get('registered_name') in (None, name, 'function')
        if not known or not _is_from(entry, ACTIVATION_MODULES):
            raise RefusedError(f'the function {name!r}{_origin(entry)}', name)

    def _check_class(self, entry: dict[str, Any]) -> None:
        name, registered = str(entry['class_name']), entry.get('registered_name')
        key = name if registered is None else str(registered)
        if key in self._trusted:
            return
        if key in self._registered:
            # Keras looks for the registered name first, but for none if it is given as None.
            known = entry.get('registered_name', key) == key
            known = known and name in (key, key.removeprefix('tf_n2uq>'))
        else:
            known = key == name and _is_from(entry, self._allowed.get(name))
        if not known:
            raise RefusedError(f'the class {name!r}{_origin(entry)}', key)
        if isinstance(entry.get('config'), dict):
            _check_settings(key, entry['config'])

    def _check_argument(self, key: str, value: Any) -> None:
        if not isinstance(value, str) or value in self._trusted:
            return
        if key.endswith('activation') and value in self._functions:
            return
        for end, names in NAMES_OF_ARGUMENTS.items():
            if key.endswith(end) and value not in names:
                raise RefusedError(f'the {end} {value!r}', value)


def _is_from(entry: dict[str, Any], modules: Collection[str] | None) -> bool:
    """Returns whether an entry names one of the modules, or none; False without modules."""
    module = entry.get('module')
    return modules is not None and (module is None or str(module) in modules)


def _origin(entry: dict[str, Any]) -> str:
    module, registered = entry.get('module'), entry.get('registered_name')
    as_registered = '' if registered is None else f', registered as {registered!r}'
    return ('' if module is None else f' of the module {module!r}') + as_registered


def _check_data(entry: dict[str, Any]) -> None:
    name = entry['class_name']
    if not set(entry) <= _DATA[name]:
        raise RefusedError(f'the entry {name!r} with the keys {sorted(entry)}')
    if 'config' in _DATA[name] and str(entry['config'].get('dtype')) not in _DTYPES:
        raise RefusedError(f'an array of the dtype {entry["config"].get("dtype")!r}')


def _check_settings(name: str, config: dict[str, Any]) -> None:
    check_settings(name, config)
    if name == 'tf_n2uq>BorderScale':
        rows, columns = (len(_elements(config.get(key))) for key in ('rows', 'columns'))
        if rows * columns > _MOST_PIXELS:
            raise RefusedError(f'the class {name!r} with {rows} times {columns} factors', name)


def _elements(value: Any) -> list[Any]:
    elements = value.get('items') if isinstance(value, dict) else value
    return elements if isinstance(elements, list) else []


def _check_call(call: Any) -> None:
    """Refuses a call without symbolic tensors: Keras computes it at once."""
    names = list(_layers_read(call))
    if not names or _CONSTANT in names:
        raise RefusedError('a call of a layer with constants instead of tensors')


def _layers_read(call: Any) -> Iterator[str]:
    """Yields the names of the layers whose outputs are the tensors of a call."""
    if isinstance(call, dict):
        call = list(call.values())
    if isinstance(call, list):
        if len(call) in (3, 4) and isinstance(call[0], str):
            yield call[0]
        else:
            for part in call:
                yield from _layers_read(part)


def prepared(config: Any, trusted: Collection[str]) -> Any:
    """Returns a copy of a config as Keras shall get it.

    Models in it are not compiled. What the caller trusts is found by its name, not by the module
    that the file names. Calls that wait for each other end in an error.

    Args:
        config: a config that has been checked, decoded or not.
        trusted: the names of the caller's own classes and functions.
    """
    if isinstance(config, (list, tuple)):
        return type(config)(prepared(value, trusted) for value in config)
    if not isinstance(config, dict):
        return config
    copy = {k: prepared(v, trusted) for k, v in config.items() if k != _COMPILATION}
    name = copy.get('class_name')
    if isinstance(name, str) and name in trusted and 'registered_name' in copy:
        copy['registered_name'] = copy['registered_name'] or name
    if isinstance(copy.get('layers'), list):
        copy['layers'] = _Layers(copy['layers'])
    return copy


class _Layers(list):
    """The layers of a network, which Keras goes through until it has made all calls.

    Each time it makes at least one call, or else it would go on for ever. Making the layers, and
    copying the config in wrappers around them, takes some times more.
    """

    def __init__(self, layers: list[Any]) -> None:
        super().__init__(layers)
        calls = sum(len(layer.get('inbound_nodes') or ()) for layer in layers)
        self._times_left = calls + 100

    def __iter__(self) -> Iterator[Any]:
        self._times_left -= 1
        if self._times_left < 0:
            raise ValueError('calls of its layers wait for each other')
        return super().__iter__()
