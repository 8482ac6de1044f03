"""What quantizers of 0 to a clipping value have in common."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.ops.pact import pact_levels
from tf_n2uq.quantizers.base import ConfiguredQuantizer, add_parameter
from tf_n2uq.quantizers.bits import check_bits
from tf_n2uq.quantizers.fitting import fit_levels
from tf_n2uq.quantizers.statistics import TensorStatistics


class ClippingQuantizer(ConfiguredQuantizer, abc.ABC):
    """Clips to 0..clip_value and rounds to 2**bits equally spaced levels.

    Its variable is `clip_value` [1], float32. Subclasses say what gradient it has.

    Attributes:
        start_clip_value: What it starts at.
        learns_clip_value: Whether it is trainable.
    """

    start_clip_value: float
    learns_clip_value: bool

    def __init__(self, bits: int) -> None:
        """Makes a quantizer.

        Args:
            bits: Of the activation, 2..8.

        Raises:
            TypeError: `bits` is not an integer.
            ValueError: `bits` is not in 2..8.
        """
        self.bits = check_bits(bits)

    def build(self, tensor_shape: Any, name: str, layer: keras.layers.Layer) -> dict[str, Any]:
        """Adds the variable `<name>_clip_value` to a layer.

        Args:
            tensor_shape: Ignored: one clipping value serves the whole tensor.
            name: Of the tensor.
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
            inputs: Any shape, floating point dtype.
            training: Ignored: the function is the same in training and inference.
            weights: What `build` returned.
            **kwargs: Ignored.

        Returns:
            Shape and dtype of `inputs`.

        Raises:
            TypeError: `inputs` is not of a floating point dtype.
            ValueError: An entry of `weights` is missing.
        """
        del training, kwargs
        (clip_value,) = self._entries(weights, 'clip_value')
        return self._clipped(inputs, clip_value)

    @abc.abstractmethod
    def _clipped(self, inputs: tf.Tensor, clip_value: tf.Variable) -> tf.Tensor:
        """Clips and rounds, with the method's gradient."""

    def levels(self, inputs: tf.Tensor, weights: Mapping[str, Any]) -> tf.Tensor:
        """The integer levels of a tensor: `__call__` gives levels·`step`.

        Args:
            inputs: Any shape, floating point dtype.
            weights: What `build` returned.

        Returns:
            int32, shape of `inputs`, 0..2**bits − 1.

        Raises:
            ValueError: An entry of `weights` is missing.
        """
        (clip_value,) = self._entries(weights, 'clip_value')
        return pact_levels(inputs, clip_value, self.bits)

    def step(self, weights: Mapping[str, Any]) -> tf.Tensor:
        """Returns what one level is worth: clip_value/n.

        Args:
            weights: What `build` returned.

        Returns:
            float64 `[]`, in units of the output.

        Raises:
            ValueError: An entry of `weights` is missing.
        """
        (clip_value,) = self._entries(weights, 'clip_value')
        return tf.cast(clip_value[0], tf.float64) / (2**self.bits - 1)

    def calibrated(self, statistics: TensorStatistics) -> dict[str, np.ndarray]:
        """A clipping value that quantizes what was measured with the least squared error.

        Args:
            statistics: Of the tensor that enters the quantizer. What is negative in it becomes
                zero whatever the clipping value; `kernel_gain` has no variable to go to.

        Returns:
            `{'clip_value': [1]}`.
        """
        n = 2**self.bits - 1
        _, width = fit_levels(np.maximum(statistics.samples, 0), n)
        return {'clip_value': np.array([n * width], np.float32)}
