"""Settings of known layers that take memory or time out of proportion to a file's size."""

from __future__ import annotations

from typing import Any

from tf_n2uq.untrusted.refusal import RefusedError


def check_settings(name: str, config: dict[str, Any]) -> None:
    """Refuses a setting that makes a harmless layer costly.

    Args:
        name: the layer's class.
        config: its config.

    Raises:
        RefusedError: if a recurrent layer is stateful or unrolled. Keras makes the states of a
            whole batch, or one operation per time step.
    """
    for setting in ('stateful', 'unroll'):
        if config.get(setting):
            raise RefusedError(f'the class {name!r} with {setting}=True', name)
