"""SGD as the networks that start from PyTorch's recipes are trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq.training.optimizer import LearningRateGroups, Multipliers


@keras.saving.register_keras_serializable(package='tf_n2uq')
class L2SGD(LearningRateGroups, keras.optimizers.SGD):
    """SGD with Nesterov momentum whose weight decay is an L2 penalty, as PyTorch's.

    The gradient of `weight_decay / 2 · |w|²` is added to the loss's, so it goes through the
    momentum: `g = gradient + weight_decay · w`. Keras' own `weight_decay` shrinks the variable
    beside the momentum, which at 0.9 and equal numbers is a tenth as much; numbers of published
    recipes, such as those of AdaBits (Jin et al., CVPR 2020), mean the penalty. Gradients are
    clipped before the penalty is added.

    As everywhere in Keras, what the momentum gathers are steps, i.e. gradients times the learning
    rate of their time (PyTorch: gradients), so that after a fall of the learning rate the last few
    steps before it still count in full.

    Source: Sutskever et al., "On the importance of initialization and momentum in deep learning"
    (ICML 2013), for the momentum.

    Args:
        learning_rate: Base learning rate, a number or a Keras schedule such as `cosine_decay`.
        momentum: 0..1.
        nesterov: Whether the step looks ahead.
        weight_decay: Factor of the penalty, zero or above; None for none.
        multipliers: See `LearningRateGroups`; by default all variables learn alike, as clipping
            values do in AdaBits.
        no_decay: See `LearningRateGroups`.
        **kwargs: What `tf_keras.optimizers.SGD` takes besides: `clipnorm`, `jit_compile`...

    Raises:
        TypeError: See `LearningRateGroups`.
        ValueError: See `LearningRateGroups`; or `momentum` is out of range.
    """

    def __init__(
        self,
        learning_rate: Any = 0.1,
        momentum: float = 0.9,
        nesterov: bool = True,
        weight_decay: float | None = None,
        multipliers: Multipliers = (),
        no_decay: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
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
        """Updates `variable` by the gradient of loss and penalty."""
        if self.weight_decay and self.decays(variable):
            # Of an embedding's variable all rows decay, also those that the batch did not read.
            gradient = tf.convert_to_tensor(gradient)
            gradient += tf.cast(self.weight_decay, variable.dtype) * variable
        super().update_step(gradient, variable)

    def apply_decay(self, variables: Sequence[tf.Variable]) -> None:
        """Does nothing: the penalty is part of the gradient."""
