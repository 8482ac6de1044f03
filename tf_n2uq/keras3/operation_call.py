"""The registry of the operations of `keras.ops`, and one call of an operation."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tf_keras as keras

from tf_n2uq.keras3.entry import Entry


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a function of `keras.ops`.

    Attributes:
        entry: the operation.
        values: the options of the operation and the arguments of its call, by their names.
    """

    entry: Entry
    values: Mapping[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def get(self, name: str, default: Any = None) -> Any:
        """Returns an option or argument, or a default if it is missing or None."""
        value = self.values.get(name)
        return default if value is None else value

    def refuse_unless(self, condition: bool, reason: str) -> None:
        """Raises an error that ends 'operation x …' unless a condition holds."""
        if not condition:
            raise self.entry.refusal(reason, 'build this part of the model with Keras layers')


Rule = Callable[[Call], Any]
_RULES: dict[str, tuple[tuple[str, ...], Rule]] = {}


def register_operation(name: str, arguments: str, rule: Rule) -> None:
    """Makes an operation of `keras.ops` known to `from_keras3`.

    Args:
        name: of its class, such as 'Relu6'.
        arguments: the names of the positional arguments of its call, with spaces between them.
        rule: gets the call, and returns what it computes: a nest of KerasTensors.
    """
    _RULES[name] = (tuple(arguments.split()), rule)


def rule_of(entry: Entry) -> tuple[tuple[str, ...], Rule]:
    """Returns the names of the positional arguments of an operation, and its rule.

    Raises:
        TranslationError: if there is none.
    """
    if entry.class_name not in _RULES:
        raise entry.refusal(
            f'computes keras.ops.{entry.class_name}, which from_keras3 does not know',
            'build this part of the model with Keras layers, or with tf_keras',
        )
    return _RULES[entry.class_name]


def known_operations() -> list[str]:
    """Returns the names of the operations that have a rule, in order."""
    return sorted(_RULES)


def is_symbolic(value: Any) -> bool:
    """Tells whether a value is a tensor of the network and no constant."""
    try:
        return bool(keras.backend.is_keras_tensor(value))
    except ValueError:  # Keras raises for what is no tensor at all.
        return False


def arguments_of(entry: Entry, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the options of an operation and the arguments of one call, by their names.

    Raises:
        TranslationError: if there is no rule, or it has fewer arguments.
    """
    names, _ = rule_of(entry)
    if len(args) > len(names):
        raise entry.refusal(
            f'has {len(args)} arguments; expected {len(names)}', 'save the model again with Keras 3'
        )
    return {**entry.config, **dict(zip(names, args, strict=False)), **kwargs}
