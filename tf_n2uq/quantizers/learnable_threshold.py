"""The activation quantizer of N2UQ."""

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

    With n = 2**bits − 1 intervals aᵢ > 0 that begin at s, d₀ = s and dᵢ = dᵢ₋₁ + aᵢ, the level of
    x·input_scale is the number of thresholds dᵢ₋₁ + aᵢ/2 below it. The output is
    level·2/n·output_scale.

    The gradient of x, s, aᵢ and input_scale is that of the piecewise linear function which rises by
    2/n from dᵢ₋₁ to dᵢ and is constant outside, the expectation of stochastic rounding (generalized
    straight-through estimation). output_scale gets level·2/n. The function is
    `tf_n2uq.ops.learnable_threshold`.

    The variables, all float32 and trainable, are `start` [1], `intervals` [n], `input_scale` [1]
    and `output_scale` [1]. They start at 0, 2/n each, 1 and 1, as published, which is uniform
    quantization of 0..2.

    Source: Liu et al., "Nonuniform-to-Uniform Quantization: Towards Accurate Quantization via
    Generalized Straight-Through Estimation", CVPR 2022, sections 3.1 and 3.2, eq. 6 to 9.
    """

    def __init__(self, bits: int) -> None:
        """Makes a quantizer.

        Args:
            bits: The bit-width of the activation, 2..8.

        Raises:
            TypeError: `bits` is not an integer.
            ValueError: `bits` is not in 2..8.
        """
        self.bits = check_bits(bits)

    @property
    def steps(self) -> int:
        """The number of thresholds and of intervals: 2**bits − 1."""
        return 2**self.bits - 1

    def build(self, tensor_shape: Any, name: str, layer: keras.layers.Layer) -> dict[str, Any]:
        """Adds the variables `<name>_start` … to a layer.

        Args:
            tensor_shape: Ignored: one staircase serves the whole tensor.
            name: The name of the tensor.
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
            inputs: A tensor of any shape and of a floating point dtype.
            training: Chooses the implementation, and not the result: training has compiled
                functions, inference has plain operations, which converters understand.
            weights: The dictionary that `build` returned.
            **kwargs: Ignored.

        Returns:
            A tensor with the shape and dtype of `inputs`.

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
            inputs: A tensor of any shape and of a floating point dtype.
            weights: The dictionary that `build` returned.

        Returns:
            int32, of the shape of `inputs`, 0..n.
        """
        parameters = self._entries(weights, 'start', 'intervals', 'input_scale')
        return threshold_levels(inputs, *parameters)

    def step(self, weights: Mapping[str, Any]) -> tf.Tensor:
        """Returns the difference between two levels of the output: 2/n·output_scale.

        Args:
            weights: The dictionary that `build` returned.

        Returns:
            float64 `[]`, in units of the output; negative where the output scale is negative.

        Raises:
            ValueError: An entry of `weights` is missing.
        """
        (output_scale,) = self._entries(weights, 'output_scale')
        return tf.cast(output_scale[0], tf.float64) * 2 / self.steps

    def calibrated(self, statistics: TensorStatistics) -> dict[str, np.ndarray]:
        """Returns the uniform thresholds and levels with the smallest squared error.

        The input scale maps the range of the levels to a width of 2, so that the intervals start
        at 2/n as published.

        Args:
            statistics: The statistics of the tensor that enters the quantizer.

        Returns:
            An array for each variable, float32.
        """
        origin, step = fit_levels(statistics.samples, self.steps)
        input_scale = 2 / (self.steps * step)
        return {
            'start': np.array([origin * input_scale], np.float32),
            'intervals': np.full([self.steps], 2 / self.steps, np.float32),
            'input_scale': np.array([input_scale], np.float32),
            'output_scale': np.array([statistics.kernel_gain / input_scale], np.float32),
        }
