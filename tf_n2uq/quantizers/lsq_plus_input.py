"""The activation quantizer of LSQ+: a learned step and a learned offset."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.ops.lsq_plus import lsq_plus, lsq_plus_lowest
from tf_n2uq.quantizers.base import add_parameter
from tf_n2uq.quantizers.fitting import fit_levels
from tf_n2uq.quantizers.learned_step import LearnedStepQuantizer
from tf_n2uq.quantizers.statistics import TensorStatistics

_ROUNDS = 32
_MOST_SAMPLES = 2**14


@keras.saving.register_keras_serializable(package='tf_n2uq')
class LSQPlusInputQuantizer(LearnedStepQuantizer):
    """Rounds to 2**bits levels that begin at a learned offset and are one learned step apart.

    With the step s and the offset β, the levels are s·k for k from z = round(β/s), limited to
    −(2**bits − 1)..0, to z + 2**bits − 1. Zero is a level, which an integer file pads with.

    Gradients, times the upstream gradient, with v = x/s − z and p = 2**bits − 1: x gets 1 where
    0 < v < p; s gets round(v) − v there, 0 below and p above; β gets 0 there and 1 elsewhere. Those
    of s and β are summed up and multiplied by 1/√(N·p), N the number of values of the tensor. The
    function is `tf_n2uq.ops.lsq_plus`.

    The variables are `step_size` [1] and `offset` [1], both float32 and trainable. The step starts
    as for a tensor whose mean magnitude is 1, the offset at 0.

    Source: Bhalgat et al., "LSQ+: Improving low-bit quantization through learnable offsets and
    better initialization", CVPR Workshops 2020, section 3.1. Rounding the offset to whole steps is
    ours.
    """

    def start_lowest(self) -> int:
        """Returns 0, the lowest level before calibration."""
        return 0

    def build(self, tensor_shape: Any, name: str, layer: keras.layers.Layer) -> dict[str, Any]:
        """Adds the variables `<name>_step_size` and `<name>_offset` to a layer.

        Args:
            tensor_shape: Ignored: one step and one offset serve the whole tensor.
            name: The name of the tensor.
            layer: The layer that owns the variables.

        Returns:
            `{'step_size': variable [1], 'offset': variable [1]}`.
        """
        offset = add_parameter(layer, f'{name}_offset', (1,), 0.0)
        return {**super().build(tensor_shape, name, layer), 'offset': offset}

    def lowest(self, weights: Mapping[str, Any]) -> tf.Tensor:
        """Returns the lowest level, a whole number in −(2**bits − 1)..0.

        Args:
            weights: The dictionary that `build` returned.

        Returns:
            float32 `[]`.

        Raises:
            ValueError: An entry of `weights` is missing.
        """
        step, offset = self._entries(weights, 'step_size', 'offset')
        return lsq_plus_lowest(step, offset, self.bits)

    def __call__(
        self,
        inputs: tf.Tensor,
        training: Any,
        weights: Mapping[str, Any],
        **kwargs: Any,
    ) -> tf.Tensor:
        """Quantizes a tensor.

        Args:
            inputs: A tensor of any shape and of a floating point dtype.
            training: Ignored: the function is the same in training and inference.
            weights: The dictionary that `build` returned.
            **kwargs: Ignored.

        Returns:
            A tensor with the shape and dtype of `inputs`.

        Raises:
            TypeError: `inputs` is not of a floating point dtype.
            ValueError: An entry of `weights` is missing.
        """
        del training, kwargs
        step, offset = self._entries(weights, 'step_size', 'offset')
        return lsq_plus(inputs, step, offset, self.bits)

    def calibrated(self, statistics: TensorStatistics) -> dict[str, np.ndarray]:
        """Returns the step and the offset that quantize a tensor with the least squared error.

        Args:
            statistics: The statistics of the tensor that enters the quantizer.

        Returns:
            `{'step_size': [1], 'offset': [1]}`, float32; the offset is a whole number of steps.

        Source: the same paper, section 3.2, which minimizes the same error by gradient descent.
        """
        lowest, step = _fit(statistics, 2**self.bits - 1)
        return {
            'step_size': np.array([step], np.float32),
            'offset': np.array([lowest * step], np.float32),
        }

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {'bits': self.bits}


def _fit(statistics: TensorStatistics, count: int) -> tuple[int, float]:
    """Returns the lowest level and the step with the least squared error, for `count` steps."""
    samples = np.asarray(statistics.samples, np.float64).ravel()
    samples = samples[:: max(1, -(-samples.size // _MOST_SAMPLES))]
    origin, start = fit_levels(samples, count)
    near = int(np.rint(origin / start))
    # Without a negative value every level below zero would be wasted.
    least = -count if statistics.minimum < 0 else 0
    fits = [
        (lowest, _fitted_step(samples, start, lowest, count))
        for lowest in (near - 1, near, near + 1)
        if least <= lowest <= 0
    ]
    return min(fits, key=lambda fit: _squared_error(samples, fit[1], fit[0], count))


def _fitted_step(samples: np.ndarray, step: float, lowest: int, count: int) -> float:
    """Returns the step to which rounding and least squares, in turns, lead from a start value."""
    for _ in range(_ROUNDS):
        levels = np.clip(np.rint(samples / step), lowest, lowest + count)
        product = float(np.sum(levels * samples))
        if product <= 0:
            break
        step, before = product / float(np.sum(np.square(levels))), step
        if step == before:
            break
    return step


def _squared_error(samples: np.ndarray, step: float, lowest: int, count: int) -> float:
    levels = np.clip(np.rint(samples / step), lowest, lowest + count)
    return float(np.sum(np.square(samples - step * levels)))
