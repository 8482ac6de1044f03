"""The error that says what in a file is not loaded."""

from __future__ import annotations


class RefusedError(ValueError):
    """Something in a model's file that could do harm.

    Attributes:
        found: what it is, as a noun with its article.
        name: the class or function that a caller may allow; None where it is something else.
    """

    def __init__(self, found: str, name: str | None = None) -> None:
        """Makes an error.

        Args:
            found: see the attributes.
            name: likewise.
        """
        super().__init__(found)
        self.found, self.name = found, name

    def message(self, argument: str, path: str, loader: str = 'keras.models.load_model') -> str:
        """Returns the sentence for the user.

        Args:
            argument: how the user calls the path.
            path: of the file.
            loader: the function of Keras that loads whatever a file holds.
        """
        allow = f'pass custom_objects={{{self.name!r}: …}} with your class or function, or '
        return (
            f'{argument}: expected a model of known, harmless layers and their weights, got '
            f'{path!r}, which holds {self.found}; if you trust the file, '
            f'{allow if self.name else ""}load it with {loader} and use that model.'
        )
