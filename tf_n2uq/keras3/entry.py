"""One object in the config of a Keras 3 model, and the error that refuses it."""

from __future__ import annotations

import dataclasses
from typing import Any

# Where Keras 3 says that its own classes are from.
_OF_KERAS = ('keras', 'keras.')


class TranslationError(ValueError):
    """Something in a Keras 3 model that tf_keras cannot compute, as a sentence for the user."""


@dataclasses.dataclass(frozen=True)
class Entry:
    """A layer, an operation or another object, as Keras 3 writes it into a config.

    Attributes:
        name: of the layer or operation in its model; '' for other objects.
        class_name: of its class.
        module: where its class is from; None in some older files.
        registered_name: the name that its class was registered by; None for Keras' own layers.
        config: its options.
        nodes: its calls in a functional model.
        shared_id: the same number for each entry of one and the same layer; None if unknown.
    """

    name: str
    class_name: str
    module: str | None
    registered_name: str | None
    config: dict[str, Any]
    nodes: list[Any]
    shared_id: int | None

    @classmethod
    def of(cls, description: Any) -> Entry:
        """Reads an entry.

        Args:
            description: the dictionary that Keras 3 has written.

        Raises:
            TranslationError: if it describes no object.
        """
        is_object = isinstance(description, dict) and isinstance(description.get('config'), dict)
        if not is_object or not isinstance(description.get('class_name'), str):
            raise TranslationError(
                f'model: expected a layer of Keras 3 with its config, got {str(description)[:80]!r}'
                '; save the model again with Keras 3.'
            )
        config = description['config']
        return cls(
            str(description.get('name') or config.get('name') or ''),
            description['class_name'],
            description.get('module'),
            description.get('registered_name'),
            config,
            list(description.get('inbound_nodes') or ()),
            description.get('shared_object_id'),
        )

    @property
    def is_of_keras(self) -> bool:
        """Whether Keras 3 itself defines the class."""
        module = self.module or 'keras'
        return module == _OF_KERAS[0] or module.startswith(_OF_KERAS[1])

    @property
    def is_operation(self) -> bool:
        """Whether it is a call of a function in `keras.ops`, and no layer."""
        module = self.module or ''
        return module.startswith(('keras.src.ops.', 'keras.ops')) or (
            module == 'keras.src.activations.activations'
        )

    def refusal(self, reason: str, way_out: str) -> TranslationError:
        """Returns the error that this entry has no counterpart.

        Args:
            reason: the end of the sentence 'layer x …'.
            way_out: what to do, as an imperative.
        """
        what = 'operation' if self.is_operation else 'layer'
        named = f'{what} {self.name!r} ({self.class_name})' if self.name else repr(self.class_name)
        return TranslationError(f'model: {named} of Keras 3 {reason}; {way_out}.')
