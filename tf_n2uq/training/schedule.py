"""Learning-rate schedules for quantization-aware training."""

from __future__ import annotations

from collections.abc import Sequence

import tf_keras as keras

from tf_n2uq.training import argument_checks


def linear_decay(initial: float, steps: int) -> keras.optimizers.schedules.PolynomialDecay:
    """Returns a learning rate that falls linearly to zero, step by step.

    Step `t` runs at `initial * (1 - t / steps)`. The rate changes with every step and not with
    every epoch, so that the last epoch still learns.

    Source: Liu et al., "Nonuniform-to-Uniform Quantization", CVPR 2022, section 4.1, trains with a
    linear decay to zero.

    Args:
        initial: The learning rate of the first step, above zero.
        steps: The number of optimizer steps of the whole training, which is epochs times batches
            in an epoch. Later steps run at zero.

    Returns:
        A Keras schedule, to be given to an optimizer as its `learning_rate`.

    Raises:
        TypeError: `initial` is not a number or `steps` is not an integer.
        ValueError: `initial` is not finite and above zero, or `steps` is below one.
    """
    initial = argument_checks.number_above_zero(initial, 'initial')
    steps = argument_checks.positive_integer(steps, 'steps (epochs times batches in an epoch)')
    return keras.optimizers.schedules.PolynomialDecay(
        initial, decay_steps=steps, end_learning_rate=0.0, power=1.0
    )


def cosine_decay(initial: float, steps: int) -> keras.optimizers.schedules.CosineDecay:
    """Returns a learning rate that falls to zero along half a cosine, step by step.

    Step `t` runs at `initial * (1 + cos(π * t / steps)) / 2`.

    Source: Loshchilov and Hutter, "SGDR", ICLR 2017, equation 5, for one period down to zero. Jin
    et al., "AdaBits", CVPR 2020, train MobileNets by it.

    Args:
        initial: The learning rate of the first step, above zero.
        steps: The number of optimizer steps of the whole training, which is epochs times batches
            in an epoch. Later steps run at zero.

    Returns:
        A Keras schedule, to be given to an optimizer as its `learning_rate`.

    Raises:
        TypeError: `initial` is not a number or `steps` is not an integer.
        ValueError: `initial` is not finite and above zero, or `steps` is below one.
    """
    initial = argument_checks.number_above_zero(initial, 'initial')
    steps = argument_checks.positive_integer(steps, 'steps (epochs times batches in an epoch)')
    return keras.optimizers.schedules.CosineDecay(initial, decay_steps=steps)


def step_decay(
    initial: float, steps_at: Sequence[int], factor: float = 0.1
) -> keras.optimizers.schedules.PiecewiseConstantDecay:
    """Returns a learning rate that is multiplied by a factor at given steps.

    Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016, section 4.2,
    train on CIFAR-10 at a tenth after half and after three quarters of the training.

    Args:
        initial: The learning rate of the first step, above zero.
        steps_at: The optimizer steps, counted from zero, at which the rate changes: rising
            integers of at least one.
        factor: The number that the rate is multiplied by each time, above zero.

    Returns:
        A Keras schedule, to be given to an optimizer as its `learning_rate`.

    Raises:
        TypeError: `initial` or `factor` is not a number, or a step is not an integer.
        ValueError: `initial` or `factor` is not finite and above zero, there is no step, or the
            steps are below one or do not rise.
    """
    initial = argument_checks.number_above_zero(initial, 'initial')
    factor = argument_checks.number_above_zero(factor, 'factor')
    steps = [argument_checks.positive_integer(step, 'steps_at') for step in steps_at]
    if not steps or steps != sorted(set(steps)):
        raise ValueError(
            f'steps_at: expected rising numbers of steps, at least one, got {steps_at!r}. Sort '
            'them, and give each once.'
        )
    # Keras' boundary is the last step at the rate before.
    return keras.optimizers.schedules.PiecewiseConstantDecay(
        [step - 1 for step in steps], [initial * factor**n for n in range(len(steps) + 1)]
    )
