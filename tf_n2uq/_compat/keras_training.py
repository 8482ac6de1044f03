"""What Keras' `compile` and its optimizers keep to themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

# What `compile` makes of a loss and metrics: they average over replicas, mask, and find out which
# accuracy 'accuracy' is. A training step with several losses needs several of them, and
# `compiled_loss` and `compiled_metrics` are one each. Nothing public makes more.
from tf_keras.src.engine.compile_utils import LossesContainer, MetricsContainer

__all__ = [
    'LossesContainer',
    'MetricsContainer',
    'OpenOptimizer',
    'copied_metrics',
    'index_of',
    'untracked',
]


def copied_metrics(metrics: Any) -> Any:
    """Returns a nest of metrics for a `MetricsContainer`, with copies of those that count.

    A container changes the metrics that it gets, and metrics of several containers would count
    together.

    Args:
        metrics: metrics and names of metrics, as for `tf_keras.Model.compile`; None for none.
    """

    def copy(metric: Any) -> Any:
        is_metric = isinstance(metric, keras.metrics.Metric)
        return type(metric).from_config(metric.get_config()) if is_metric else metric

    return tf.nest.map_structure(copy, list(metrics) if isinstance(metrics, tuple) else metrics)


class OpenOptimizer(keras.optimizers.Optimizer):
    """Mixin for optimizers that change Keras' weight decay, by methods with public names.

    Keras' public `exclude_from_weight_decay` is a setting that is not saved with the optimizer,
    and nothing public changes how the others decay. The mixin goes in front of the optimizer
    class, as in `class MySGD(OpenOptimizer, keras.optimizers.SGD)`.
    """

    def decays(self, variable: tf.Variable) -> bool:
        """Returns whether a variable has weight decay."""
        return super()._use_weight_decay(variable)

    def apply_decay(self, variables: Sequence[tf.Variable]) -> None:
        """Shrinks the variables that have weight decay, once per step."""
        super()._apply_weight_decay(variables)

    def _use_weight_decay(self, variable: tf.Variable) -> bool:
        return self.decays(variable)

    def _apply_weight_decay(self, variables: Sequence[tf.Variable]) -> None:
        self.apply_decay(variables)


def index_of(optimizer: keras.optimizers.Optimizer, variable: tf.Variable) -> int:
    """Returns the place of a variable in the list that an optimizer was built with.

    A variable's name does not tell: a replica of a distributed variable has a name of its own.
    Nothing public replaces this.
    """
    return optimizer._index_dict[optimizer._var_key(variable)]


def untracked(owner: tf.Module, value: Any) -> Any:
    """Returns a value that is stored in an attribute as it is.

    Of a tuple, list or dictionary in an attribute TensorFlow makes a wrapper that checkpoints
    save. Nothing public replaces this.

    Args:
        owner: the optimizer, layer or model that gets the attribute.
        value: what the attribute shall hold.
    """
    return owner._no_dependency(value)
