"""N2UQ's activation quantizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.ops.n2uq import (
    learnable_threshold,
    learnable_threshold_elementwise,
    threshold_levels,
)
from tf_n2uq.quantizers.base import ConfiguredQuantizer, add_parameter
from tf_n2uq.quantizers.bits import check_bits
from tf_n2uq.quantizers.fitting import fit_levels
from tf_n2uq.quantizers.statistics import TensorStatistics


@keras.saving.register_keras_serializable(package='tf_n2uq')
class LearnableThresholdQuantizer(ConfiguredQuantizer):
    """Learned, unequally spaced input thresholds; equally spaced output levels 0, 2/n … 2.

    The function and its gradient are `tf_n2uq.ops.learnable_threshold`. The variables, all float32
    and trainable, n = 2**bits − 1: `start` [1], `intervals` [n], `input_scale` [1] and
    `output_scale` [1]. They start at 0, 2/n each, 1 and 1, as published: uniform quantization
    of 0..2.

    Source: Liu et al., "Nonuniform-to-Uniform Quantization", CVPR 2022, section 3.2.
    """

    def __init__(self, bits: int) -> None:
        """Makes a quantizer.

        Args:
            bits: Of the activation, 2..8.

        Raises:
            TypeError: `bits` is not an integer.
            ValueError: `bits` is not in 2..8.
        """
        self.bits = check_bits(bits)

    @property
    def steps(self) -> int:
        """Number of thresholds, and of intervals: 2**bits − 1."""
        return 2**self.bits - 1

    def build(self, tensor_shape: Any, name: str, layer: keras.layers.Layer) -> dict[str, Any]:
        """Adds the variables `<name>_start` … to a layer.

        Args:
            tensor_shape: Ignored: one staircase serves the whole tensor.
            name: Of the tensor.
            layer: The layer that owns the variables.

        Returns:
            The variables by the names in the class's description.
        """
        del tensor_shape
        return {
            'start': add_parameter(layer, f'{name}_start', (1,), 0.0),
            'intervals': add_parameter(layer, f'{name}_intervals', (self.steps,), 2 / self.steps),
            'input_scale': add_parameter(layer, f'{name}_input_scale', (1,), 1.0),
            'output_scale': add_parameter(layer, f'{name}_output_scale', (1,), 1.0),
        }

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
            training: Chooses the implementation, not the result: what is not in training gets
                plain operations in place of compiled functions, which converters understand.
            weights: What `build` returned.
            **kwargs: Ignored.

        Returns:
            Shape and dtype of `inputs`.

        Raises:
            TypeError: `inputs` is not of a floating point dtype.
            ValueError: An entry of `weights` is missing.
        """
        del kwargs
        parameters = self._entries(weights, 'start', 'intervals', 'input_scale', 'output_scale')
        in_training = tf.is_tensor(training) or bool(training)
        quantize = learnable_threshold if in_training else learnable_threshold_elementwise
        return quantize(inputs, *parameters)

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {'bits': self.bits}

    def levels(self, inputs: tf.Tensor, weights: Mapping[str, Any]) -> tf.Tensor:
        """Returns the level of each value.

        Args:
            inputs: Any shape, floating point dtype.
            weights: What `build` returned.

        Returns:
            int32, shape of `inputs`, 0..n.
        """
        parameters = self._entries(weights, 'start', 'intervals', 'input_scale')
        return threshold_levels(inputs, *parameters)

    def step(self, weights: Mapping[str, Any]) -> tf.Tensor:
        """Returns what one level is worth: the output is `step · levels`.

        Args:
            weights: What `build` returned.

        Returns:
            float64 `[]`, in units of the output; negative where the output scale is.

        Raises:
            ValueError: An entry of `weights` is missing.
        """
        (output_scale,) = self._entries(weights, 'output_scale')
        return tf.cast(output_scale[0], tf.float64) * 2 / self.steps

    def calibrated(self, statistics: TensorStatistics) -> dict[str, np.ndarray]:
        """Returns start values for a tensor: the uniform levels with the smallest squared error.

        The input scale maps the levels' range to a width of 2, so that the intervals start at
        2/n as published.

        Args:
            statistics: What was seen of the tensor.

        Returns:
            Arrays by the names of the variables.
        """
        origin, step = fit_levels(statistics.samples, self.steps)
        input_scale = 2 / (self.steps * step)
        return {
            'start': np.array([origin * input_scale], np.float32),
            'intervals': np.full([self.steps], 2 / self.steps, np.float32),
            'input_scale': np.array([input_scale], np.float32),
            'output_scale': np.array([statistics.kernel_gain / input_scale], np.float32),
        }
