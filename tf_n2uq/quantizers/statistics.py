"""What calibration knows of a tensor."""

from __future__ import annotations

import dataclasses

import numpy as np

_MAX_VALUES = 2**18
_MIN_ROWS = 256


@dataclasses.dataclass(frozen=True)
class TensorStatistics:
    """What was seen of a tensor that enters a quantizer.

    Attributes:
        minimum: smallest value seen.
        maximum: largest value seen.
        samples: float32 `[rows, channels]`, values at random positions of the tensor.
        kernel_gain: what the quantizer's output has to be multiplied by to make up for the
            norm that the quantized kernel behind it has lost.
    """

    minimum: float
    maximum: float
    samples: np.ndarray
    kernel_gain: float = 1.0

    def merged(self, other: TensorStatistics, generator: np.random.Generator) -> TensorStatistics:
        """Returns the statistics of both; samples beyond 2^18 values are thinned at random."""
        samples = np.concatenate([self.samples, other.samples])
        limit = max(_MIN_ROWS, _MAX_VALUES // samples.shape[1])
        if len(samples) > 2 * limit:
            samples = samples[generator.permutation(len(samples))[:limit]]
        return TensorStatistics(
            min(self.minimum, other.minimum), max(self.maximum, other.maximum), samples
        )
