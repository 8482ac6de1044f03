"""Learning-rate schedules for quantization-aware training."""

from __future__ import annotations

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
