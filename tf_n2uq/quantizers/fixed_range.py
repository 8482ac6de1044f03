"""The quantizer of a tensor whose range is known beforehand."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.quantizers.range import RangeQuantizer
from tf_n2uq.quantizers.statistics import TensorStatistics


@keras.saving.register_keras_serializable(package='tf_n2uq')
class FixedRangeQuantizer(RangeQuantizer):
    """Rounds to 2**bits equally spaced values between two constants; there is nothing to learn.

    The function and the gradient are those of `RangeQuantizer`, with constants for its variables.
    TFLite's operators for sigmoid, tanh and softmax write in one scale only, which is such a range.

    Source: TensorFlow Lite's 8-bit quantization specification, operators LOGISTIC, TANH, SOFTMAX.
    """

    def __init__(self, low: float, high: float, bits: int = 8) -> None:
        """Makes a quantizer.

        Args:
            low: The smallest value, at most 0.
            high: The largest value, at least 0 and above `low`.
            bits: The bit-width of the tensor, 2..8.

        Raises:
            TypeError: `bits` is not an integer.
            ValueError: `bits` is not in 2..8, or the range is empty or without zero.
        """
        super().__init__(bits)
        if not (low <= 0 <= high and low < high):
            raise ValueError(
                f'low, high: expected a range with zero in it, low <= 0 <= high and low < high, '
                f'got {low!r} and {high!r}; give such as 0 and 1.'
            )
        self.low, self.high = float(low), float(high)

    def build(self, tensor_shape: Any, name: str, layer: keras.layers.Layer) -> dict[str, Any]:
        """Returns an empty dictionary: the range is a constant."""
        del tensor_shape, name, layer
        return {}

    def __call__(
        self,
        inputs: tf.Tensor,
        training: Any,
        weights: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> tf.Tensor:
        """Quantizes a tensor; the gradient passes inside the range and is zero outside.

        Args:
            inputs: A tensor of any shape and of a floating point dtype.
            training: Ignored: the function is the same in training and inference.
            weights: Ignored.
            **kwargs: Ignored.

        Returns:
            A tensor with the shape and dtype of `inputs`, computed in float32.
        """
        del training, weights, kwargs
        quantized = tf.quantization.fake_quant_with_min_max_args(
            tf.cast(inputs, tf.float32), self.low, self.high, num_bits=self.bits
        )
        return tf.cast(quantized, inputs.dtype)

    def bounds(self, weights: Mapping[str, Any]) -> tuple[float, float]:
        """Returns the ends of the range, see `RangeQuantizer.bounds`."""
        del weights
        return self.low, self.high

    def step(self, weights: Mapping[str, Any]) -> tf.Tensor:
        """Returns the difference between two neighbouring values, float64 `[]`, > 0."""
        del weights
        return tf.constant((self.high - self.low) / (2**self.bits - 1), tf.float64)

    def calibrated(self, statistics: TensorStatistics) -> dict[str, np.ndarray]:
        """Returns an empty dictionary: there is nothing to set."""
        del statistics
        return {}

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {'low': self.low, 'high': self.high, 'bits': self.bits}
