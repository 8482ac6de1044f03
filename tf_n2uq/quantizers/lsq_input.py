"""LSQ's quantizer for activations that may or may not be negative."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.quantizers.base import add_parameter
from tf_n2uq.quantizers.learned_step import LearnedStepQuantizer, start_step
from tf_n2uq.quantizers.statistics import TensorStatistics


@keras.saving.register_keras_serializable(package='tf_n2uq')
class LSQInputQuantizer(LearnedStepQuantizer):
    """LSQ with unsigned levels, or signed ones where calibration finds that these fit better.

    A graph does not show what is negative: behind a ReLU nothing is, behind a swish little. So the
    lowest level is a variable: `lowest` [1], float32, not trainable, starts at 0, that is 0..Q_P =
    2**bits − 1 as the paper has it; calibration may make it −2**(bits−1). Either way level 0 is
    zero, which is what is padded.

    Source: Esser et al., "Learned Step Size Quantization", ICLR 2020.
    """

    def start_lowest(self) -> int:
        """Returns 0: unsigned."""
        return 0

    def build(self, tensor_shape: Any, name: str, layer: keras.layers.Layer) -> dict[str, Any]:
        """Adds the variables `<name>_step_size` and `<name>_lowest` to a layer.

        Args:
            tensor_shape: Ignored: one step serves the whole tensor.
            name: Of the tensor.
            layer: The layer that owns the variables.

        Returns:
            `{'step_size': variable [1], 'lowest': variable [1]}`.
        """
        lowest = add_parameter(layer, f'{name}_lowest', (1,), 0.0, trainable=False)
        return {**super().build(tensor_shape, name, layer), 'lowest': lowest}

    def lowest(self, weights: Mapping[str, Any]) -> tf.Tensor:
        """Returns the lowest level, float32 `[1]`."""
        (lowest,) = self._entries(weights, 'lowest')
        return tf.convert_to_tensor(lowest)

    def calibrated(self, statistics: TensorStatistics) -> dict[str, np.ndarray]:
        """The lowest level with the lesser squared error, and the paper's start value for it.

        Args:
            statistics: Of the tensor that enters the quantizer.

        Returns:
            `{'step_size': [1], 'lowest': [1]}`.
        """
        samples = np.asarray(statistics.samples, np.float64)
        choices = [0, -(2 ** (self.bits - 1))]
        steps = [start_step(samples, self.highest(lowest)) for lowest in choices]
        errors = [
            self._squared_error(samples, step, lowest)
            for step, lowest in zip(steps, choices, strict=True)
        ]
        best = int(np.argmin(errors)) if statistics.minimum < 0 else 0
        return {
            'step_size': np.array([steps[best]], np.float32),
            'lowest': np.array([choices[best]], np.float32),
        }

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {'bits': self.bits}

    def _squared_error(self, samples: np.ndarray, step: float, lowest: int) -> float:
        levels = np.clip(np.rint(samples / step), lowest, self.highest(lowest))
        return float(np.mean(np.square(samples - step * levels)))
