"""Optimizers with one learning rate per group of variables."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras
from absl import logging

from tf_n2uq._compat.keras_training import OpenOptimizer, index_of, untracked
from tf_n2uq.training import argument_checks
from tf_n2uq.training.variable_groups import (
    Selector,
    VariableGroup,
    checked_selector,
    checked_selectors,
    from_config,
    selects,
    to_config,
)

Multipliers = Mapping[Any, float] | Iterable[Sequence[Any]]

THRESHOLDS_AND_SCALES_AT_A_TENTH: Mapping[VariableGroup, float] = {
    VariableGroup.QUANTIZER_PARAMETERS: 0.1
}
"""N2UQ's second learning rate: what quantizers learn moves at a tenth of what kernels do."""


class LearningRateGroups(OpenOptimizer):
    """Mixin that gives any tf_keras optimizer a learning rate per group of variables.

    Put it in front of the optimizer class, as `N2UQAdam` does:

        @keras.saving.register_keras_serializable(package='mine')
        class GroupedSGD(LearningRateGroups, keras.optimizers.SGD):
            pass

    The learning rate of a variable is the optimizer's learning rate times the factor of the first
    group that the variable is in. A variable that is in none of the groups has the factor one.
    The learning rate is multiplied and not the gradient, because Adam and its relatives would
    divide the factor of a gradient out again. Decoupled weight decay uses the variable's own
    learning rate.

    A group is a `VariableGroup`, which knows its variables by what they are, or a regular
    expression, by which users name variables of their own choice.

    Args:
        multipliers: `{group: factor}` or pairs `(group, factor)`. A factor is a finite number,
            zero or above. At zero the variables stand still. A regular expression is searched for
            in the variable's name without its `:0`, for example in `conv/kernel`.
        no_decay: The groups whose variables have no weight decay, in addition to the variables of
            Keras' `exclude_from_weight_decay`. This argument is saved with the optimizer, which
            Keras' setting is not.
        *args: Arguments of the optimizer class.
        **kwargs: Arguments of the optimizer class.

    Raises:
        TypeError: `multipliers` is neither a mapping nor pairs, `no_decay` is not a sequence, a
            group is neither a `VariableGroup` nor a string, or a factor is not a number.
        ValueError: A string is not a regular expression, or a factor is negative or not finite.
    """

    _factor_in_use = 1.0

    def __init__(
        self,
        *args: Any,
        multipliers: Multipliers = (),
        no_decay: Sequence[Selector] = (),
        **kwargs: Any,
    ) -> None:
        groups = _checked_multipliers(multipliers)
        no_decay = checked_selectors(no_decay, 'no_decay')
        super().__init__(*args, **kwargs)
        self._groups = untracked(self, groups)
        self._no_decay = untracked(self, no_decay)
        self._factors = untracked(self, ())
        self._decays = untracked(self, ())

    @property
    def learning_rate(self) -> Any:
        """The base learning rate; while a group is being updated, the learning rate of the group.

        It is a scalar variable or tensor.
        """
        base = super().learning_rate
        if self._factor_in_use == 1.0:
            return base
        return base * tf.cast(self._factor_in_use, base.dtype)

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        keras.optimizers.Optimizer.learning_rate.fset(self, value)

    def build(self, var_list: Sequence[tf.Variable]) -> None:
        """Creates the optimizer's state for variables and finds the group of each.

        Args:
            var_list: The trainable variables as the model holds them.
        """
        super().build(var_list)
        # Keras builds again in every traced step. As with Keras' own state, the first list counts.
        if not self._factors:
            self._factors = untracked(self, tuple(map(self._factor_of, var_list)))
            self._decays = untracked(self, tuple(map(self._decay_of, var_list)))
            self._warn_of_idle_groups(var_list)

    def update_step(self, gradient: Any, variable: tf.Variable) -> None:
        """Updates a variable at the learning rate of its group.

        Args:
            gradient: A tensor of the variable's shape, or `tf.IndexedSlices`.
            variable: One of the variables that the optimizer was built with, or a replica's part
                of one.
        """
        with self._at_factor(self._factors[index_of(self, variable)]):
            super().update_step(gradient, variable)

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration, with `multipliers` as a list of `[group, factor]`.

        A regular expression stands for itself, and a `VariableGroup` is a dictionary.
        """
        return {
            **super().get_config(),
            'multipliers': [[to_config(group), factor] for group, factor in self._groups],
            'no_decay': [to_config(group) for group in self._no_decay],
        }

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: Mapping[str, Any] | None = None
    ) -> LearningRateGroups:
        """Returns the optimizer that a configuration describes.

        Args:
            config: The dictionary that `get_config` returned.
            custom_objects: Classes by name, for Keras.
        """
        config = dict(config)
        if 'multipliers' in config:
            config['multipliers'] = [
                (from_config(group), factor) for group, factor in config['multipliers']
            ]
        if 'no_decay' in config:
            config['no_decay'] = [from_config(group) for group in config['no_decay']]
        return super().from_config(config, custom_objects)

    def apply_decay(self, variables: Sequence[tf.Variable]) -> None:
        """Shrinks the variables that have weight decay, each at the learning rate of its group."""
        by_factor: dict[float, list[tf.Variable]] = {}
        for variable in variables:
            by_factor.setdefault(self._factors[index_of(self, variable)], []).append(variable)
        for factor, members in by_factor.items():
            with self._at_factor(factor):
                super().apply_decay(members)

    def decays(self, variable: tf.Variable) -> bool:
        """Returns whether a variable has weight decay."""
        return self._decays[index_of(self, variable)] and super().decays(variable)

    @contextlib.contextmanager
    def _at_factor(self, factor: float) -> Iterator[None]:
        self._factor_in_use = factor
        try:
            yield
        finally:
            self._factor_in_use = 1.0

    def _factor_of(self, variable: tf.Variable) -> float:
        factors = (factor for group, factor in self._groups if selects(group, variable))
        return next(factors, 1.0)

    def _decay_of(self, variable: tf.Variable) -> bool:
        return not any(selects(group, variable) for group in self._no_decay)

    def _warn_of_idle_groups(self, variables: Sequence[tf.Variable]) -> None:
        given = [(group, f'multipliers (factor {factor:g})') for group, factor in self._groups]
        if self.weight_decay:
            given += [(group, 'no_decay') for group in self._no_decay]
        for group, argument in given:
            if not any(selects(group, variable) for variable in variables):
                logging.warning(
                    '%s: %s: %s matches none of the %d variables, so it changes nothing. Leave '
                    'it out, or give a group that the model has.',
                    type(self).__name__,
                    argument,
                    group if isinstance(group, VariableGroup) else f'the pattern {group!r}',
                    len(variables),
                )


@keras.saving.register_keras_serializable(package='tf_n2uq')
class N2UQAdam(LearningRateGroups, keras.optimizers.Adam):
    """Adam as N2UQ uses it: thresholds and scales learn at a tenth of the base learning rate.

    Source: Liu et al., "Nonuniform-to-Uniform Quantization: Towards Accurate Quantization via
    Generalized Straight-Through Estimation", CVPR 2022, section 4.1.

    Args:
        learning_rate: The base learning rate, a number or a Keras schedule such as
            `linear_decay`.
        multipliers: See `LearningRateGroups`. By default `VariableGroup.QUANTIZER_PARAMETERS`
            learns at 0.1.
        **kwargs: Further arguments of `LearningRateGroups` and `tf_keras.optimizers.Adam`, such
            as `no_decay`, `beta_1`, `weight_decay` or `clipnorm`.

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
        """Returns the optimizer's configuration."""
        # Keras' Adam leaves this one out of its own.
        return {**super().get_config(), 'adaptive_epsilon': self.adaptive_epsilon}


def _checked_multipliers(multipliers: Multipliers) -> tuple[tuple[Selector, float], ...]:
    pairs = multipliers.items() if isinstance(multipliers, Mapping) else multipliers
    if isinstance(pairs, str) or not isinstance(pairs, Iterable):
        raise TypeError(
            f'multipliers: expected {{group: factor}} or pairs (group, factor), got '
            f'{multipliers!r}. Give a dictionary.'
        )
    return tuple(_checked_pair(pair) for pair in pairs)


def _checked_pair(pair: Any) -> tuple[Selector, float]:
    try:
        group, factor = pair
    except (TypeError, ValueError):
        raise TypeError(
            f'multipliers: expected pairs (group, factor), got {pair!r}. Give a dictionary.'
        ) from None
    selector = checked_selector(group, 'multipliers')
    name = f'multipliers: the factor of {group!r}'
    return selector, argument_checks.number_from_zero(factor, name)
