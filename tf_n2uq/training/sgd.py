"""SGD with weight decay as an L2 penalty, for recipes that were written for PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq.training import argument_checks
from tf_n2uq.training.optimizer import LearningRateGroups, Multipliers
from tf_n2uq.training.variable_groups import Selector


@keras.saving.register_keras_serializable(package='tf_n2uq')
class L2SGD(LearningRateGroups, keras.optimizers.SGD):
    """SGD with Nesterov momentum and an L2 penalty as its weight decay, as in PyTorch.

    The gradient of `weight_decay / 2 · |w|²` is added to that of the loss, so that it goes through
    the momentum: `g = gradient + weight_decay · w`. Keras' own `weight_decay` shrinks the variable
    beside the momentum, which at a momentum of 0.9 and equal numbers is a tenth as much. The
    numbers of published recipes, such as those of AdaBits (Jin et al., CVPR 2020), mean the
    penalty. Gradients are clipped before the penalty is added.

    As everywhere in Keras, the momentum gathers steps, which are gradients times the learning rate
    of their time. PyTorch's momentum gathers gradients. After a fall of the learning rate the last
    few steps before it therefore still count in full here.

    Source: Sutskever et al., "On the importance of initialization and momentum in deep learning",
    ICML 2013, for the momentum.

    Args:
        learning_rate: The base learning rate, a number or a Keras schedule such as
            `cosine_decay`.
        momentum: The part of the last step that is taken again, 0..1.
        nesterov: Whether the gradient counts as if the momentum's step had been taken already.
        weight_decay: The factor of the penalty, finite and zero or above. None means no penalty.
        multipliers: See `LearningRateGroups`. By default all variables learn alike, as clipping
            values do in AdaBits.
        no_decay: See `LearningRateGroups`.
        **kwargs: Further arguments of `tf_keras.optimizers.SGD`, such as `clipnorm` or
            `jit_compile`.

    Raises:
        TypeError: See `LearningRateGroups`; or `weight_decay` is not a number.
        ValueError: See `LearningRateGroups`; or `momentum` or `weight_decay` is out of range.
    """

    def __init__(
        self,
        learning_rate: Any = 0.1,
        momentum: float = 0.9,
        nesterov: bool = True,
        weight_decay: float | None = None,
        multipliers: Multipliers = (),
        no_decay: Sequence[Selector] = (),
        **kwargs: Any,
    ) -> None:
        if weight_decay is not None:
            weight_decay = argument_checks.number_from_zero(weight_decay, 'weight_decay')
        kwargs.setdefault('name', 'L2SGD')
        super().__init__(
            learning_rate=learning_rate,
            momentum=momentum,
            nesterov=nesterov,
            weight_decay=weight_decay,
            multipliers=multipliers,
            no_decay=no_decay,
            **kwargs,
        )

    def update_step(self, gradient: Any, variable: tf.Variable) -> None:
        """Updates a variable by the gradient of loss and penalty.

        Args:
            gradient: The gradient of the loss, a tensor of the variable's shape or
                `tf.IndexedSlices`.
            variable: One of the variables that the optimizer was built with, or a replica's part
                of one.
        """
        if self.weight_decay and self.decays(variable):
            # All rows of an embedding decay, also the rows that the batch did not read.
            gradient = tf.convert_to_tensor(gradient)
            gradient += tf.cast(self.weight_decay, variable.dtype) * variable
        super().update_step(gradient, variable)

    def apply_decay(self, variables: Sequence[tf.Variable]) -> None:
        """Does nothing, because the penalty is part of the gradient."""
