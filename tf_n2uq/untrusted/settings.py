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


def with_learned_statistics(config: Any) -> Any:
    """Returns a copy of a config in which no `Normalization` is given its mean and variance.

    Keras repeats given statistics for each element of the input, without a variable that tells
    their size.

    Args:
        config: a config that has been checked.
    """
    if isinstance(config, list):
        return [with_learned_statistics(value) for value in config]
    if not isinstance(config, dict):
        return config
    copy = {key: with_learned_statistics(value) for key, value in config.items()}
    if copy.get('class_name') == 'Normalization' and isinstance(copy.get('config'), dict):
        copy['config'].update(mean=None, variance=None)
    return copy
