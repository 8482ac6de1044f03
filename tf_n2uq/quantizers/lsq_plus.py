"""The kernel quantizer of LSQ+: LSQ with another start value."""

from __future__ import annotations

from typing import Any

import numpy as np
import tf_keras as keras

from tf_n2uq.ops.lsq import SMALLEST_STEP
from tf_n2uq.quantizers.lsq import LSQQuantizer
from tf_n2uq.quantizers.statistics import TensorStatistics


@keras.saving.register_keras_serializable(package='tf_n2uq')
class LSQPlusQuantizer(LSQQuantizer):
    """Kernels rounded to 2**bits multiples of a learned step, −2**(bits−1)..2**(bits−1) − 1.

    The function, the gradients and the variable `step_size` [1] are those of `LSQQuantizer`.
    Calibration starts the step at max(|μ − 3σ|, |μ + 3σ|)/2**(bits−1), with the mean μ and the
    standard deviation σ of the kernel: the levels then span nearly all weights, whatever outliers
    there are.

    Source: Bhalgat et al., "LSQ+: Improving low-bit quantization through learnable offsets and
    better initialization", CVPR Workshops 2020, section 3.2.
    """

    def __init__(self, bits: int) -> None:
        """Makes a quantizer.

        Args:
            bits: The bit-width of the kernel, 2..8.

        Raises:
            TypeError: `bits` is not an integer.
            ValueError: `bits` is not in 2..8.
        """
        super().__init__(bits, signed=True)

    def calibrated(self, statistics: TensorStatistics) -> dict[str, np.ndarray]:
        """Returns the start value of the paper.

        Args:
            statistics: The statistics of the kernel, with all its weights as samples.

        Returns:
            `{'step_size': [1]}`, float32.
        """
        weights = np.asarray(statistics.samples, np.float64)
        mean, deviation = np.mean(weights), np.std(weights)
        span = max(abs(mean - 3 * deviation), abs(mean + 3 * deviation))
        step = max(span / 2 ** (self.bits - 1), SMALLEST_STEP)
        return {'step_size': np.array([step], np.float32)}

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {'bits': self.bits}
