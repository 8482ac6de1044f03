"""Learning-rate schedules for quantization-aware training."""

from __future__ import annotations

from collections.abc import Sequence

import tf_keras as keras

from tf_n2uq.training import arguments


def linear_decay(initial: float, steps: int) -> keras.optimizers.schedules.PolynomialDecay:
    """Learning rate that falls linearly from `initial` to zero in `steps` steps.

    N2UQ (Liu et al., "Nonuniform-to-Uniform Quantization", CVPR 2022, section 4.1) trains with a
    linear decay to zero. Here the rate changes with every step, so that the last epoch still
    learns: step `t` runs at `initial * (1 - t / steps)`.

    Args:
        initial: Learning rate of the first step, above zero.
        steps: Number of optimizer steps of the whole training, i.e. epochs times batches in an
            epoch. Later steps run at zero.

    Returns:
        A Keras schedule, to be given to an optimizer as its `learning_rate`.

    Raises:
        TypeError: `initial` is not a number or `steps` is not an integer.
        ValueError: `initial` is not finite and above zero, or `steps` is below one.
    """
    initial = arguments.number_above_zero(initial, '`initial`')
    steps = arguments.positive_integer(steps, '`steps` (epochs times batches in an epoch)')
    return keras.optimizers.schedules.PolynomialDecay(
        initial, decay_steps=steps, end_learning_rate=0.0, power=1.0
    )


def cosine_decay(initial: float, steps: int) -> keras.optimizers.schedules.CosineDecay:
    """Learning rate that falls from `initial` to zero along half a cosine, step by step.

    Step `t` runs at `initial * (1 + cos(π * t / steps)) / 2`: Loshchilov and Hutter, "SGDR" (ICLR
    2017), equation 5, for one period down to zero, as AdaBits (Jin et al., CVPR 2020) trains
    MobileNets.

    Args:
        initial: Learning rate of the first step, above zero.
        steps: Number of optimizer steps of the whole training, i.e. epochs times batches in an
            epoch. Later steps run at zero.

    Returns:
        A Keras schedule, to be given to an optimizer as its `learning_rate`.

    Raises:
        TypeError: `initial` is not a number or `steps` is not an integer.
        ValueError: `initial` is not finite and above zero, or `steps` is below one.
    """
    initial = arguments.number_above_zero(initial, '`initial`')
    steps = arguments.positive_integer(steps, '`steps` (epochs times batches in an epoch)')
    return keras.optimizers.schedules.CosineDecay(initial, decay_steps=steps)


def step_decay(
    initial: float, steps_at: Sequence[int], factor: float = 0.1
) -> keras.optimizers.schedules.PiecewiseConstantDecay:
    """Learning rate that is multiplied by `factor` at each of some steps.

    A tenth after half and after three quarters of the training is what ResNets learn CIFAR-10
    by: He et al., "Deep Residual Learning" (CVPR 2016), section 4.2.

    Args:
        initial: Learning rate of the first step, above zero.
        steps_at: The optimizer steps, counted from zero, that are the first at each further rate:
            rising integers of at least one.
        factor: What the rate is multiplied by, above zero.

    Returns:
        A Keras schedule, to be given to an optimizer as its `learning_rate`.

    Raises:
        TypeError: `initial` or `factor` is not a number, or a step is not an integer.
        ValueError: `initial` or `factor` is not finite and above zero, or the steps are none, are
            below one or do not rise.
    """
    initial = arguments.number_above_zero(initial, '`initial`')
    factor = arguments.number_above_zero(factor, '`factor`')
    steps = [arguments.positive_integer(step, '`steps_at`') for step in steps_at]
    if not steps or steps != sorted(set(steps)):
        raise ValueError(
            f'`steps_at` must hold rising numbers of steps, at least one, got {steps_at!r}.'
        )
    # Keras' boundary is the last step at the rate before.
    return keras.optimizers.schedules.PiecewiseConstantDecay(
        [step - 1 for step in steps], [initial * factor**n for n in range(len(steps) + 1)]
    )
