"""The base class of quantizers with a learned step."""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.ops.lsq import SMALLEST_STEP, lsq, lsq_levels
from tf_n2uq.quantizers.base import ConfiguredQuantizer, add_parameter
from tf_n2uq.quantizers.bits import check_bits


class LearnedStepQuantizer(ConfiguredQuantizer, abc.ABC):
    """Rounds to 2**bits multiples of a learned step, from a lowest one on.

    The function is `tf_n2uq.ops.lsq`. The variable `step_size` [1], float32 and trainable, starts
    at the paper's value for a tensor whose mean magnitude is 1. A subclass says which level is the
    lowest.
    """

    is_uniform = True

    def __init__(self, bits: int) -> None:
        """Makes a quantizer.

        Args:
            bits: The bit-width of the tensor, 2..8.

        Raises:
            TypeError: `bits` is not an integer.
            ValueError: `bits` is not in 2..8.
        """
        self.bits = check_bits(bits)

    @abc.abstractmethod
    def lowest(self, weights: Mapping[str, Any]) -> tf.Tensor:
        """Returns the lowest level, a whole number <= 0 as a float `[]` or `[1]`.

        Args:
            weights: The dictionary that `build` returned.
        """

    @abc.abstractmethod
    def start_lowest(self) -> int:
        """Returns the lowest level before calibration."""

    def build(self, tensor_shape: Any, name: str, layer: keras.layers.Layer) -> dict[str, Any]:
        """Adds the variable `<name>_step_size` to a layer.

        Args:
            tensor_shape: Ignored: one step serves the whole tensor.
            name: The name of the tensor.
            layer: The layer that owns the variable.

        Returns:
            `{'step_size': variable [1]}`.
        """
        del tensor_shape
        start = start_step(np.ones([1]), self.highest(self.start_lowest()))
        return {'step_size': add_parameter(layer, f'{name}_step_size', (1,), start)}

    def highest(self, lowest: Any) -> Any:
        """Returns the highest level, of the type and dtype of the lowest."""
        return lowest + (2**self.bits - 1)

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
        return lsq(inputs, *self._parameters(weights))

    def levels(self, inputs: tf.Tensor, weights: Mapping[str, Any]) -> tf.Tensor:
        """Returns the integer levels of a tensor, which `__call__` multiplies by `step`.

        Args:
            inputs: A tensor of any shape and of a floating point dtype.
            weights: The dictionary that `build` returned.

        Returns:
            int32, of the shape of `inputs`.

        Raises:
            ValueError: An entry of `weights` is missing.
        """
        return lsq_levels(inputs, *self._parameters(weights))

    def integers(
        self, kernel: tf.Tensor, weights: Mapping[str, Any] | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns a quantized kernel as integers and a unit, whose product it is, bit by bit.

        Args:
            kernel: The float kernel, float32.
            weights: The dictionary that `build` returned.

        Returns:
            int32 of the kernel's shape, and one float32 unit that broadcasts against it.

        Raises:
            ValueError: An entry of `weights` is missing.
        """
        unit, lowest, highest = self._parameters(weights)
        kernel = tf.convert_to_tensor(kernel)
        shaped = tf.reshape(unit, [1] * kernel.shape.rank)
        return lsq_levels(kernel, unit, lowest, highest), shaped

    def step(self, weights: Mapping[str, Any]) -> tf.Tensor:
        """Returns the difference between two levels, which is the learned step.

        Args:
            weights: The dictionary that `build` returned.

        Returns:
            float64 `[]`, > 0, in units of the output.

        Raises:
            ValueError: An entry of `weights` is missing.
        """
        return tf.cast(self._parameters(weights)[0], tf.float64)

    def _parameters(self, weights: Mapping[str, Any] | None) -> tuple[Any, Any, Any]:
        """Returns the step `[]`, at least 1e-8, and the lowest and the highest level."""
        (step,) = self._entries(weights, 'step_size')
        assert weights is not None
        lowest = self.lowest(weights)
        usable = tf.maximum(tf.reshape(tf.convert_to_tensor(step), []), SMALLEST_STEP)
        return usable, lowest, self.highest(lowest)


def start_step(samples: np.ndarray, highest: int) -> float:
    """Returns LSQ's start value of a step: 2·mean|x|/√Q_P.

    Args:
        samples: Values of the tensor, of any shape.
        highest: The highest level, Q_P of the paper.

    Returns:
        The step, at least 1e-8.

    Source: Esser et al., "Learned Step Size Quantization", ICLR 2020, section 2.1.
    """
    mean = float(np.mean(np.abs(samples), dtype=np.float64))
    return max(2 * mean / highest**0.5, SMALLEST_STEP)
