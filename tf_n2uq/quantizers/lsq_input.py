"""The activation quantizer of LSQ, for tensors that may or may not be negative."""

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
    """Rounds to 2**bits multiples of a learned step, from 0 on or with signed levels.

    The function and its gradients are those of `LSQQuantizer`. The levels are 0..2**bits − 1, as in
    the paper, or −2**(bits−1)..2**(bits−1) − 1 if calibration finds that these fit better: a graph
    does not show whether a tensor is negative. Either way zero, which is padded, is a level.

    The variables are `step_size` [1], float32 and trainable, and `lowest` [1], float32 and not
    trainable. The lowest level starts at 0.

    Source: Esser et al., "Learned Step Size Quantization", ICLR 2020, section 2. Choosing the
    lowest level by calibration is ours.
    """

    def start_lowest(self) -> int:
        """Returns 0, the lowest level before calibration."""
        return 0

    def build(self, tensor_shape: Any, name: str, layer: keras.layers.Layer) -> dict[str, Any]:
        """Adds the variables `<name>_step_size` and `<name>_lowest` to a layer.

        Args:
            tensor_shape: Ignored: one step serves the whole tensor.
            name: The name of the tensor.
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
        """Returns the lowest level with the smaller squared error, and the paper's step for it.

        Args:
            statistics: The statistics of the tensor that enters the quantizer.

        Returns:
            `{'step_size': [1], 'lowest': [1]}`, float32.
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
