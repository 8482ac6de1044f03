"""Optimizers with one learning rate per group of variables."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras
from absl import logging

from tf_n2uq._compat.keras_training import OpenOptimizer, index_of, untracked
from tf_n2uq.training import arguments

Multipliers = Mapping[str, float] | Iterable[Sequence[Any]]

THRESHOLDS_AND_SCALES_AT_A_TENTH: Mapping[str, float] = {
    r'_(start|intervals|input_scale|output_scale|clip_value|step_size)$': 0.1
}
"""N2UQ's second learning rate: what quantizers learn moves at a tenth of what kernels do."""


class LearningRateGroups(OpenOptimizer):
    """Mixin that gives any tf_keras optimizer a learning rate per group of variables.

    Put it in front of the optimizer class, as `N2UQAdam` does:

        @keras.saving.register_keras_serializable(package='mine')
        class GroupedSGD(LearningRateGroups, keras.optimizers.SGD):
            pass

    A variable's learning rate is the optimizer's learning rate times the factor of the first
    pattern that matches its name; without a match the factor is one. It is the learning rate that
    is multiplied, not the gradient: Adam and its relatives would divide a gradient's factor out
    again. Decoupled weight decay uses the variable's own learning rate, as parameter groups do
    elsewhere.

    Args:
        multipliers: `{pattern: factor}` or pairs `(pattern, factor)`. A pattern is a regular
            expression that is searched for in the variable's name without its `:0`, for example
            `conv/quantizer_start`. A factor is a finite number, zero or above; at zero the
            variable stands still.
        no_decay: Patterns likewise: the variables whose name one of them matches have no weight
            decay, besides those of Keras' `exclude_from_weight_decay`. Unlike the latter, it is
            saved with the optimizer.
        *args: What the optimizer class takes.
        **kwargs: What the optimizer class takes.

    Raises:
        TypeError: `multipliers` is neither a mapping nor pairs, `no_decay` is not a sequence, a
            pattern is not a string, or a factor is not a number.
        ValueError: A pattern is not a regular expression, or a factor is negative or not finite.
    """

    _factor_in_use = 1.0

    def __init__(
        self,
        *args: Any,
        multipliers: Multipliers = (),
        no_decay: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        groups = _checked_groups(multipliers)
        no_decay = _checked_patterns(no_decay)
        super().__init__(*args, **kwargs)
        self._groups = untracked(self, groups)
        self._no_decay = untracked(self, no_decay)
        self._factors = untracked(self, ())
        self._decays = untracked(self, ())

    @property
    def learning_rate(self) -> Any:
        """The base learning rate; while a group is being updated, that group's."""
        base = super().learning_rate
        if self._factor_in_use == 1.0:
            return base
        return base * tf.cast(self._factor_in_use, base.dtype)

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        keras.optimizers.Optimizer.learning_rate.fset(self, value)

    def build(self, var_list: Sequence[tf.Variable]) -> None:
        """Creates the state for `var_list` and finds each variable's group."""
        super().build(var_list)
        # Keras builds again in every traced step; as for its own state, the first list decides.
        if not self._factors:
            names = [re.sub(r':\d+$', '', variable.name) for variable in var_list]
            self._factors = untracked(self, tuple(self._factor_of(name) for name in names))
            self._decays = untracked(
                self,
                tuple(not any(re.search(each, name) for each in self._no_decay) for name in names),
            )
            self._warn_of_idle_patterns(names)

    def update_step(self, gradient: Any, variable: tf.Variable) -> None:
        """Updates `variable` at the learning rate of its group."""
        with self._at_factor(self._factor_of_variable(variable)):
            super().update_step(gradient, variable)

    def get_config(self) -> dict[str, Any]:
        """The optimizer's configuration, `multipliers` as a list of `[pattern, factor]`."""
        return {
            **super().get_config(),
            'multipliers': [list(group) for group in self._groups],
            'no_decay': list(self._no_decay),
        }

    def apply_decay(self, variables: Sequence[tf.Variable]) -> None:
        by_factor: dict[float, list[tf.Variable]] = {}
        for variable in variables:
            by_factor.setdefault(self._factor_of_variable(variable), []).append(variable)
        for factor, members in by_factor.items():
            with self._at_factor(factor):
                super().apply_decay(members)

    def decays(self, variable: tf.Variable) -> bool:
        return self._decays[index_of(self, variable)] and super().decays(variable)

    @contextlib.contextmanager
    def _at_factor(self, factor: float) -> Iterator[None]:
        self._factor_in_use = factor
        try:
            yield
        finally:
            self._factor_in_use = 1.0

    def _factor_of_variable(self, variable: tf.Variable) -> float:
        return self._factors[index_of(self, variable)]

    def _factor_of(self, name: str) -> float:
        return next((factor for pattern, factor in self._groups if re.search(pattern, name)), 1.0)

    def _warn_of_idle_patterns(self, names: Sequence[str]) -> None:
        for pattern, factor in self._groups:
            if not any(re.search(pattern, name) for name in names):
                logging.warning(
                    '%s: the pattern %r of `multipliers` (factor %g) matches none of the %d '
                    'variables.',
                    type(self).__name__,
                    pattern,
                    factor,
                    len(names),
                )


@keras.saving.register_keras_serializable(package='tf_n2uq')
class N2UQAdam(LearningRateGroups, keras.optimizers.Adam):
    """Adam as N2UQ uses it: thresholds and scales learn at a tenth of the base learning rate.

    Source: Liu et al., "Nonuniform-to-Uniform Quantization: Towards Accurate Quantization via
    Generalized Straight-Through Estimation", CVPR 2022, section 4.1.

    Args:
        learning_rate: Base learning rate, a number or a Keras schedule such as `linear_decay`.
        multipliers: See `LearningRateGroups`. By default the variables that quantizers learn
            (`*_start`, `*_intervals`, `*_input_scale`, `*_output_scale`, `*_clip_value`,
            `*_step_size`) at 0.1.
        **kwargs: What `tf_keras.optimizers.Adam` takes: `beta_1`, `weight_decay`, `clipnorm`...

    Raises:
        TypeError: See `LearningRateGroups`.
        ValueError: See `LearningRateGroups`.
    """

    def __init__(
        self,
        learning_rate: Any = 0.001,
        multipliers: Multipliers = THRESHOLDS_AND_SCALES_AT_A_TENTH,
        **kwargs: Any,
    ) -> None:
        kwargs.setdefault('name', 'N2UQAdam')
        super().__init__(learning_rate=learning_rate, multipliers=multipliers, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """The optimizer's configuration."""
        # Keras' Adam leaves this one out of its own.
        return {**super().get_config(), 'adaptive_epsilon': self.adaptive_epsilon}


def _checked_groups(multipliers: Multipliers) -> tuple[tuple[str, float], ...]:
    pairs = multipliers.items() if isinstance(multipliers, Mapping) else multipliers
    if isinstance(pairs, str) or not isinstance(pairs, Iterable):
        raise TypeError(
            f'`multipliers` must be {{pattern: factor}} or pairs (pattern, factor), got '
            f'{multipliers!r}.'
        )
    return tuple(_checked_group(pair) for pair in pairs)


def _checked_patterns(patterns: Any) -> tuple[str, ...]:
    if isinstance(patterns, str) or not isinstance(patterns, Iterable):
        raise TypeError(f'`no_decay` must be a sequence of regular expressions, got {patterns!r}.')
    return tuple(_checked_pattern(pattern, '`no_decay`') for pattern in patterns)


def _checked_group(pair: Any) -> tuple[str, float]:
    try:
        pattern, factor = pair
    except (TypeError, ValueError):
        pattern = None
    if not isinstance(pattern, str):
        raise TypeError(
            f'`multipliers` must hold pairs (pattern, factor) with a string for pattern, got '
            f'{pair!r}.'
        )
    number = arguments.finite_number(factor, f'`multipliers`: the factor of {pattern!r}')
    if number < 0:
        raise ValueError(
            f'`multipliers`: the factor of {pattern!r} must be at least 0, got {factor!r}.'
        )
    return _checked_pattern(pattern, '`multipliers`'), number


def _checked_pattern(pattern: Any, name: str) -> str:
    if not isinstance(pattern, str):
        raise TypeError(f'{name} must hold strings, got {pattern!r}.')
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f'{name}: {pattern!r} is not a regular expression: {error}.') from error
    return pattern
