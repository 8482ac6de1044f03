"""The kernel quantizer of LSQ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.quantizers.learned_step import LearnedStepQuantizer, start_step
from tf_n2uq.quantizers.statistics import TensorStatistics


@keras.saving.register_keras_serializable(package='tf_n2uq')
class LSQQuantizer(LearnedStepQuantizer):
    """Rounds to 2**bits multiples of a learned step, from a fixed lowest one on.

    With the step s, v = x/s and the lowest and highest levels −Q_N and Q_P, the output is
    round(clip(v, −Q_N, Q_P))·s.

    Gradients, times the upstream gradient: x gets 1 where −Q_N < v < Q_P, and 0 elsewhere. s gets
    round(v) − v there, −Q_N below and Q_P above, summed up over the tensor and multiplied by
    1/√(N·Q_P), N the number of its values. The function is `tf_n2uq.ops.lsq`.

    The variable `step_size` [1] is float32 and trainable.

    Source: Esser et al., "Learned Step Size Quantization", ICLR 2020, section 2, eq. 1 to 5.
    """

    def __init__(self, bits: int, signed: bool = True) -> None:
        """Makes a quantizer.

        Args:
            bits: The bit-width of the tensor, 2..8.
            signed: Whether the levels are −2**(bits−1)..2**(bits−1) − 1, as for kernels; else they
                are 0..2**bits − 1.

        Raises:
            TypeError: `bits` is not an integer.
            ValueError: `bits` is not in 2..8.
        """
        super().__init__(bits)
        self.signed = bool(signed)

    def start_lowest(self) -> int:
        """Returns the lowest level."""
        return -(2 ** (self.bits - 1)) if self.signed else 0

    def lowest(self, weights: Mapping[str, Any]) -> tf.Tensor:
        """Returns the lowest level, float32 `[]`."""
        del weights
        return tf.constant(self.start_lowest(), tf.float32)

    def calibrated(self, statistics: TensorStatistics) -> dict[str, np.ndarray]:
        """Returns the paper's start value, 2·mean|x|/√Q_P.

        Args:
            statistics: The statistics of the tensor that enters the quantizer.

        Returns:
            `{'step_size': [1]}`, float32.
        """
        step = start_step(statistics.samples, self.highest(self.start_lowest()))
        return {'step_size': np.array([step], np.float32)}

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {'bits': self.bits, 'signed': self.signed}
