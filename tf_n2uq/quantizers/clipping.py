"""The base class of quantizers that clip to a range from 0 to a clipping value."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.ops.pact import SMALLEST_CLIP, pact_levels
from tf_n2uq.quantizers.base import ConfiguredQuantizer, add_parameter
from tf_n2uq.quantizers.bits import check_bits
from tf_n2uq.quantizers.fitting import fit_levels
from tf_n2uq.quantizers.statistics import TensorStatistics


class ClippingQuantizer(ConfiguredQuantizer, abc.ABC):
    """Clips to 0..clip_value and rounds to 2**bits equally spaced levels.

    The variable is `clip_value` [1], float32. A subclass gives the gradient.

    Attributes:
        start_clip_value: The start value of the variable.
        learns_clip_value: Whether the variable is trainable.
    """

    start_clip_value: float
    learns_clip_value: bool
    is_uniform = is_unsigned = True

    def __init__(self, bits: int) -> None:
        """Makes a quantizer.

        Args:
            bits: The bit-width of the activation, 2..8.

        Raises:
            TypeError: `bits` is not an integer.
            ValueError: `bits` is not in 2..8.
        """
        self.bits = check_bits(bits)

    def build(self, tensor_shape: Any, name: str, layer: keras.layers.Layer) -> dict[str, Any]:
        """Adds the variable `<name>_clip_value` to a layer.

        Args:
            tensor_shape: Ignored: one clipping value serves the whole tensor.
            name: The name of the tensor.
            layer: The layer that owns the variable.

        Returns:
            `{'clip_value': variable [1]}`.
        """
        del tensor_shape
        start, learned = self.start_clip_value, self.learns_clip_value
        name = f'{name}_clip_value'
        return {'clip_value': add_parameter(layer, name, (1,), start, trainable=learned)}

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
        (clip_value,) = self._entries(weights, 'clip_value')
        return self._clipped(inputs, clip_value)

    @abc.abstractmethod
    def _clipped(self, inputs: tf.Tensor, clip_value: tf.Variable) -> tf.Tensor:
        """Clips and rounds a tensor, with the method's gradient."""

    def levels(self, inputs: tf.Tensor, weights: Mapping[str, Any]) -> tf.Tensor:
        """Returns the integer levels of a tensor, which `__call__` multiplies by `step`.

        Args:
            inputs: A tensor of any shape and of a floating point dtype.
            weights: The dictionary that `build` returned.

        Returns:
            int32, of the shape of `inputs`, 0..2**bits − 1.

        Raises:
            ValueError: An entry of `weights` is missing.
        """
        (clip_value,) = self._entries(weights, 'clip_value')
        return pact_levels(inputs, clip_value, self.bits)

    def step(self, weights: Mapping[str, Any]) -> tf.Tensor:
        """Returns the difference between two levels: clip_value/(2**bits − 1).

        Args:
            weights: The dictionary that `build` returned.

        Returns:
            float64 `[]`, > 0, in units of the output.

        Raises:
            ValueError: An entry of `weights` is missing.
        """
        (clip_value,) = self._entries(weights, 'clip_value')
        usable = tf.maximum(clip_value[0], SMALLEST_CLIP)
        return tf.cast(usable, tf.float64) / (2**self.bits - 1)

    def calibrated(self, statistics: TensorStatistics) -> dict[str, np.ndarray]:
        """Returns the clipping value that quantizes a tensor with the least squared error.

        Args:
            statistics: The statistics of the tensor that enters the quantizer. Negative values
                count as zeros, which they become. `kernel_gain` is ignored, because no variable
                could hold it.

        Returns:
            `{'clip_value': [1]}`, float32.
        """
        n = 2**self.bits - 1
        _, width = fit_levels(np.maximum(statistics.samples, 0), n)
        return {'clip_value': np.array([n * width], np.float32)}
