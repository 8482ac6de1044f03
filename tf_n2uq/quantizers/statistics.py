"""Statistics of a tensor, which calibration collects."""

from __future__ import annotations

import dataclasses

import numpy as np

_MAX_VALUES = 2**18
_MIN_ROWS = 256


@dataclasses.dataclass(frozen=True)
class TensorStatistics:
    """Statistics of a tensor that enters a quantizer.

    Attributes:
        minimum: The smallest value of all data.
        maximum: The largest value of all data.
        samples: The values at random positions of the tensor, float32 `[rows, channels]`.
        kernel_gain: The factor on the quantizer's output that makes up for the norm that the
            quantized kernel behind it has lost.
    """

    minimum: float
    maximum: float
    samples: np.ndarray
    kernel_gain: float = 1.0

    def merged(self, other: TensorStatistics, generator: np.random.Generator) -> TensorStatistics:
        """Returns the statistics of two parts of the data together.

        Args:
            other: The statistics of the other part.
            generator: Chooses the samples that stay where there are more than 2^18 values.
        """
        samples = np.concatenate([self.samples, other.samples])
        limit = max(_MIN_ROWS, _MAX_VALUES // samples.shape[1])
        if len(samples) > 2 * limit:
            samples = samples[generator.permutation(len(samples))[:limit]]
        return TensorStatistics(
            min(self.minimum, other.minimum), max(self.maximum, other.maximum), samples
        )
