"""Groups of variables that an optimizer treats differently."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from tf_n2uq.quantizers.base import is_quantizer_parameter

# Version 0.1.0 found the parameters of quantizers by their names, and saved this pattern with its
# optimizers. The pattern stands for the group of today.
_QUANTIZERS_OF_0_1_0 = r'_(start|intervals|input_scale|output_scale|clip_value|step_size)$'


class VariableGroup(enum.Enum):
    """Variables that belong together because of what they are, whatever their names are.

    Attributes:
        QUANTIZER_PARAMETERS: Thresholds, scales, steps and clipping values, which quantizers
            learn. The quantizers of this package mark their variables when they create them, so
            that the variables are recognized after loading and cloning, under `tf.distribute` and
            under mixed precision.
    """

    QUANTIZER_PARAMETERS = 'quantizer_parameters'

    def holds(self, variable: tf.Variable) -> bool:
        """Tells whether a variable of a model is in the group.

        Args:
            variable: A variable as the model holds it, of any shape and dtype.
        """
        return is_quantizer_parameter(variable)


Selector = str | VariableGroup
"""A group, or a regular expression that names variables of the user's own choice."""


def selects(selector: Selector, variable: tf.Variable) -> bool:
    """Tells whether a selector takes a variable.

    Args:
        selector: A group, or a regular expression that is searched for in the variable's name
            without its `:0`.
        variable: A variable as the model holds it, of any shape and dtype.
    """
    if isinstance(selector, VariableGroup):
        return selector.holds(variable)
    return re.search(selector, re.sub(r':\d+$', '', variable.name)) is not None


def checked_selector(selector: Any, argument: str) -> Selector:
    """Returns a selector as it is.

    Args:
        selector: The user's value.
        argument: The name of the user's argument, for the error.

    Raises:
        TypeError: `selector` is neither a group nor a string.
        ValueError: `selector` is a string and not a regular expression.
    """
    if isinstance(selector, VariableGroup):
        return selector
    if not isinstance(selector, str):
        raise TypeError(
            f'{argument}: expected a VariableGroup or a regular expression as a string, got '
            f'{selector!r}. Give one of {", ".join(map(str, VariableGroup))}, or a pattern that '
            'names variables.'
        )
    try:
        re.compile(selector)
    except re.error as error:
        raise ValueError(
            f'{argument}: expected a regular expression, got {selector!r}: {error}. Put a '
            'backslash in front of signs that stand for themselves.'
        ) from error
    return selector


def checked_selectors(selectors: Any, argument: str) -> tuple[Selector, ...]:
    """Returns selectors as a tuple.

    Args:
        selectors: The user's value.
        argument: The name of the user's argument, for the error.

    Raises:
        TypeError: `selectors` is no sequence, or one of them is not a selector.
        ValueError: A string is not a regular expression.
    """
    if isinstance(selectors, str) or not isinstance(selectors, Iterable):
        raise TypeError(
            f'{argument}: expected a sequence of groups and regular expressions, got '
            f'{selectors!r}. Put a single one into a list.'
        )
    return tuple(checked_selector(selector, argument) for selector in selectors)


def to_config(selector: Selector) -> Any:
    """Returns a selector in a form that JSON can hold: a string, or a dictionary for a group."""
    return {'group': selector.value} if isinstance(selector, VariableGroup) else selector


def from_config(saved: Any) -> Selector:
    """Returns the selector that `to_config` wrote, here or in version 0.1.0."""
    if isinstance(saved, dict):
        return VariableGroup(saved['group'])
    return VariableGroup.QUANTIZER_PARAMETERS if saved == _QUANTIZERS_OF_0_1_0 else saved
