"""A watch for training loops that forget `training=True`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf
from absl import logging

from tf_n2uq._compat.tensorflow_tape import is_recording


class TrainingWatch:
    """Warns if a kernel is trained although the model has only ever been called as at inference.

    A custom loop that calls `model(x)` in place of `model(x, training=True)` moves kernels, but no
    range and no statistics of a batch normalization. The watch of a layer warns if, in between two
    calls without training, the first of them under a `GradientTape`,

    - the kernel has changed, and
    - what follows the data in training has not moved, and
    - the layer has never been called with training.

    So gradients by themselves, as of Grad-CAM, are no reason to warn, nor are weights that are
    loaded, nor `predict` and `evaluate`. A loop that is compiled as a `tf.function` is noticed when
    the model is called from Python the next time, as by `predict` or `evaluate`. The watch does not
    see loops under `tf.distribute`, and none after the first call with training, as of `fit`.

    Attributes:
        told: whether this process has been warned.
    """

    told: ClassVar[bool] = False

    def __init__(self) -> None:
        self._before: tuple[Any, Any] | None = None
        self._has_trained = False

    def see(
        self, name: str, training: Any, kernel: tf.Variable, following: Sequence[tf.Variable]
    ) -> None:
        """Looks at a call of a layer.

        Args:
            name: the name of the layer.
            training: the argument of the call, a bool or a tensor.
            kernel: the float kernel of the layer.
            following: the variables near the layer that follow the data in training.
        """
        if self._has_trained or TrainingWatch.told or not following:
            return
        value = tf.get_static_value(training) if tf.is_tensor(training) else training
        if value is None or value:
            self._has_trained = True
            return
        recording = is_recording()
        if (self._before is None and not recording) or tf.distribute.has_strategy():
            return
        with tf.init_scope():
            # A graph of TensorFlow 1 and an export of a model have no values.
            if tf.executing_eagerly() and not _stands_still(following):
                self._compare(name, _summed([kernel]), _summed(following), recording)

    def _compare(self, name: str, kernel: Any, following: Any, recording: bool) -> None:
        if self._before is None or self._before[1] != following:
            self._before = (kernel, following) if recording else None
        elif self._before[0] != kernel:
            TrainingWatch.told = True
            logging.warning(
                'Layer %r: the kernel is being trained, but the model is called as at inference, '
                'so that no range and no batch normalization follows the data. Call '
                'model(x, training=True) in the training loop.',
                name,
            )


def _stands_still(variables: Sequence[tf.Variable]) -> bool:
    """Tells whether variables are a range that right training need not move either.

    That of images in 0..1 does not move, nor that of a ReLU6 that is full.
    """
    numbers = [float(variable.numpy()) for variable in variables if not variable.shape.rank]
    return bool(numbers) and all(number.is_integer() for number in numbers)


def _summed(variables: Sequence[tf.Variable]) -> list[tuple[float, float]]:
    """Returns two numbers for each variable, which change whenever the variable does."""
    values = [np.asarray(variable.numpy(), np.float64) for variable in variables]
    return [(float(each.sum()), float(np.square(each).sum())) for each in values]
