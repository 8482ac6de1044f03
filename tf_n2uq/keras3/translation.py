"""Layers of Keras 3 as layers of tf_keras."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import tf_keras as keras

from tf_n2uq.keras3.entry import Entry
from tf_n2uq.keras3.options import activation_of, dtype_of, object_of
from tf_n2uq.keras3.plain_values import decoded
from tf_n2uq.untrusted.settings import check_settings

Options = dict[str, Any]
# Marks an option that changes nothing that is computed at inference, whatever its value.
ANY = object()
_NO_VALUE = object()
_OBJECTS = ('initializer', 'regularizer', 'constraint')
_INNER = ('layer', 'backward_layer', 'cell')
_COMMON = {'name', 'trainable', 'dtype', 'activity_regularizer'}
# Options of Keras 3 that tf_keras lacks, each with the value that does nothing.
_NEUTRAL: Mapping[str, Any] = {
    'antialias': False,
    'autocast': True,
    'data_format': 'channels_last',
    'dropout': 0.0,
    'flash_attention': None,
    'gptq_unpacked_column_size': None,
    'lora_alpha': ANY,
    'lora_rank': None,
    'pad_to_aspect_ratio': False,
    'quantization_config': None,
    'rms_scaling': False,
    'seed': ANY,
    'sliding_window': None,
    'use_cudnn': ANY,
    'use_gate': False,
    'weights': None,
    'zero_output_for_mask': False,
}


@dataclasses.dataclass(frozen=True)
class Translation:
    """How a class of Keras 3 becomes one of tf_keras.

    Attributes:
        target: the class of tf_keras, or a function that makes a layer of options.
        renamed: options that have another name in tf_keras.
        neutral: further options that tf_keras lacks, with the value that does nothing.
        also: options that the target takes without telling.
        change: edits the options in place, with the names that tf_keras has for them; it may
            raise `entry.refusal(…)`.
        first_arguments: the names of the positional arguments of `call` in Keras 3, where tf_keras
            has another order.
    """

    target: Callable[..., keras.layers.Layer]
    renamed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    neutral: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    also: tuple[str, ...] = ()
    change: Callable[[Entry, Options], None] | None = None
    first_arguments: tuple[str, ...] = ()


_TRANSLATIONS: dict[str, Translation] = {}


def register_translation(class_name: str, translation: Translation) -> None:
    """Makes a class of Keras 3 known to `from_keras3`.

    Args:
        class_name: its name in Keras 3.
        translation: the counterpart.

    Raises:
        ValueError: if the class is registered already.
    """
    if class_name in _TRANSLATIONS:
        raise ValueError(
            f'class_name: expected a class that is not registered yet, got {class_name!r}; change '
            'its entry.'
        )
    _TRANSLATIONS[class_name] = translation


def translated_classes() -> list[str]:
    """Returns the names of the layers of Keras 3 that have a counterpart, in order."""
    return sorted(_TRANSLATIONS)


def translation_of(entry: Entry) -> Translation | None:
    """Returns the translation of an entry, None for a class that has none."""
    return _TRANSLATIONS.get(entry.class_name) if entry.is_of_keras else None


class Translator:
    """Makes layers of tf_keras of entries."""

    def __init__(self, trusted: Mapping[str, Any]) -> None:
        """Creates a translator.

        Args:
            trusted: the caller's own classes and functions by their names in Keras 3, each a
                counterpart in tf_keras.
        """
        self._trusted = trusted

    def layer(self, entry: Entry) -> keras.layers.Layer:
        """Returns the counterpart of a layer, which is not built.

        Raises:
            TranslationError: if it has none.
        """
        check_settings(entry.class_name, entry.config)
        own = self._trusted.get(entry.registered_name or '') or self._trusted.get(entry.class_name)
        if own is not None:
            return self._own(entry, own)
        translation = translation_of(entry)
        if translation is None:
            raise entry.refusal(
                'has no counterpart that from_keras3 knows',
                f'build this part of the model with other layers, or pass custom_objects='
                f'{{{entry.registered_name or entry.class_name!r}: …}} with a layer of tf_keras '
                'that computes the same',
            )
        return self._made(entry, translation.target, self._options(entry, translation))

    def _own(self, entry: Entry, own: Any) -> keras.layers.Layer:
        config = {**entry.config, 'dtype': dtype_of(entry)}
        make = getattr(own, 'from_config', None)
        return own(**config) if make is None else make(config)

    def _made(self, entry: Entry, target: Any, options: Options) -> keras.layers.Layer:
        try:
            return target(**options)
        except (TypeError, ValueError) as error:
            raise entry.refusal(
                f'has options that tf_keras does not take ({error})', 'change these options'
            ) from error

    def _options(self, entry: Entry, translation: Translation) -> Options:
        options: Options = {}
        for option, value in entry.config.items():
            if option == 'dtype':
                options['dtype'] = dtype_of(entry)
            else:
                name = translation.renamed.get(option, option)
                options[name] = self._value(entry, option, value)
        for option in [name for name in options if name.endswith(_OBJECTS)]:
            if options[option] is None and option.endswith('initializer'):
                del options[option]
        if translation.change is not None:
            translation.change(entry, options)
        _drop_neutral(entry, translation, options)
        return options

    def _value(self, entry: Entry, option: str, value: Any) -> Any:
        if option.endswith('activation'):
            if isinstance(value, dict) and isinstance(value.get('config'), dict):
                return self.layer(Entry.of(value))
            return activation_of(entry, value, self._trusted)
        if option.endswith(_OBJECTS):
            return object_of(entry, option, value, self._trusted)
        if option in _INNER and isinstance(value, dict):
            return self._inner(value)
        if option == 'cells':
            return [self._inner(each) for each in value]
        return decoded(value)

    def _inner(self, description: Any) -> keras.layers.Layer:
        inner = Entry.of(description)
        if inner.config.get('data_format') == 'channels_first':
            raise inner.refusal(
                "has data_format='channels_first' inside of another layer, which tf_keras does not "
                'run on all devices',
                "build it with data_format='channels_last'",
            )
        return self.layer(inner)


def _drop_neutral(entry: Entry, translation: Translation, options: Options) -> None:
    accepted = _accepted(translation.target).union(translation.also)
    for option in sorted(set(options) - accepted):
        value = options.pop(option)
        neutral = {**_NEUTRAL, **translation.neutral}.get(option, _NO_VALUE)
        if neutral is _NO_VALUE or not (neutral is ANY or value == neutral):
            expected = '' if neutral is _NO_VALUE else f'={neutral!r}'
            raise entry.refusal(
                f'has {option}={value!r}, which tf_keras does not have',
                f'build the layer with {option}{expected}' if expected else f'leave {option} out',
            )


@functools.cache
def _accepted(target: Any) -> frozenset[str]:
    """Returns the names of the options that a class of tf_keras takes."""
    if not inspect.isclass(target):
        return frozenset(inspect.signature(target).parameters) | _COMMON
    names: set[str] = set(_COMMON)
    for base in target.__mro__:
        if base is keras.layers.Layer:
            break
        if '__init__' in vars(base):
            parameters = inspect.signature(vars(base)['__init__']).parameters.values()
            names |= {each.name for each in parameters if each.kind is not each.VAR_POSITIONAL}
            if not any(each.kind is each.VAR_KEYWORD for each in parameters):
                break
    return frozenset(names - {'self', 'kwargs'})
