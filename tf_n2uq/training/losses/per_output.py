"""Settings of several outputs: one for all, a list in their order, or a dictionary by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def per_output(setting: Any, names: Sequence[str], argument: str) -> list[Any]:
    """Returns a user's setting for each output.

    Args:
        setting: One setting for all outputs; a list or tuple with one for each output, in their
            order; or a dictionary of settings by the names of outputs. An output that a dictionary
            does not name has None.
        names: The names of the outputs.
        argument: The name of the user's argument, for errors.

    Raises:
        ValueError: A list has another length, or a dictionary names no output.
    """
    if isinstance(setting, Mapping):
        unknown = [str(name) for name in setting if name not in names]
        if unknown:
            raise ValueError(
                f'{argument}: expected names of outputs, {", ".join(names)}, got '
                f'{", ".join(unknown)}. Correct the names.'
            )
        return [setting.get(name) for name in names]
    if isinstance(setting, (list, tuple)):
        if len(setting) != len(names):
            raise ValueError(
                f'{argument}: expected {len(names)} entries, one for each of the outputs '
                f'{", ".join(names)}, got {len(setting)}. Name them in a dictionary.'
            )
        return list(setting)
    return [setting] * len(names)
