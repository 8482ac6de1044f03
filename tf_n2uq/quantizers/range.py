"""The quantizer of the tensors between layers, with a range that follows the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.ops.compiled import call_traced
from tf_n2uq.quantizers.base import ConfiguredQuantizer, add_parameter
from tf_n2uq.quantizers.bits import check_bits
from tf_n2uq.quantizers.statistics import TensorStatistics

UNTRAINED_MIN = -6.0
UNTRAINED_MAX = 6.0
# Fake quantization of an empty range is not a number, or zero for ever.
_SMALLEST_WIDTH = 2e-6


@keras.saving.register_keras_serializable(package='tf_n2uq')
class RangeQuantizer(ConfiguredQuantizer):
    """Rounds to 2**bits equally spaced values between a running minimum and maximum.

    With the range a..b, moved by less than half a step so that zero is one of the values, and the
    step s = (b − a)/(2**bits − 1), the output is round((clip(x, a, b) − a)/s)·s + a.

    The gradient passes to x inside the range, and is zero outside.

    The variables `min` and `max` are float32 scalars and not trainable. In training they follow
    the extremes of the batches, and the range always includes zero. The start values, exactly −6
    and 6, mean that the range has seen nothing: the first batch then sets it, and later batches
    move it by `1 − decay` of the difference. An empty batch, and one that holds a NaN or an
    infinity, leaves the range as it is.

    Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", CVPR 2018, section 3.1.
    """

    def __init__(self, bits: int = 8, decay: float = 0.99) -> None:
        """Makes a quantizer.

        Args:
            bits: The bit-width of the tensor, 2..8.
            decay: The part of itself that the range keeps per batch, in 0 <= decay < 1.

        Raises:
            TypeError: `bits` is not an integer.
            ValueError: `bits` is not in 2..8, or `decay` is not in its range.
        """
        self.bits = check_bits(bits)
        if not 0 <= decay < 1:
            raise ValueError(
                f'decay: expected 0 <= decay < 1, got {decay!r}; 0.99 averages about 100 batches.'
            )
        self.decay = float(decay)

    def build(self, tensor_shape: Any, name: str, layer: keras.layers.Layer) -> dict[str, Any]:
        """Adds the variables `<name>_min` and `<name>_max` to a layer.

        Args:
            tensor_shape: Ignored: one range serves the whole tensor.
            name: The name of the tensor.
            layer: The layer that owns the variables.

        Returns:
            `{'min': variable [], 'max': variable []}`.
        """
        del tensor_shape
        # As moving averages of batch normalization: each replica its own, their mean when read.
        options = {
            'trainable': False,
            'synchronization': tf.VariableSynchronization.ON_READ,
            'aggregation': tf.VariableAggregation.MEAN,
        }
        return {
            'min': add_parameter(layer, f'{name}_min', (), UNTRAINED_MIN, **options),
            'max': add_parameter(layer, f'{name}_max', (), UNTRAINED_MAX, **options),
        }

    def __call__(
        self,
        inputs: tf.Tensor,
        training: Any,
        weights: Mapping[str, Any],
        **kwargs: Any,
    ) -> tf.Tensor:
        """Quantizes a tensor, after updating the range in training.

        Args:
            inputs: A tensor of any shape and of a floating point dtype.
            training: Whether to update the range: a bool, None for no, or a boolean tensor.
            weights: The dictionary that `build` returned.
            **kwargs: Ignored.

        Returns:
            A tensor with the shape and dtype of `inputs`, computed in float32.

        Raises:
            ValueError: An entry of `weights` is missing.
        """
        del kwargs
        low, high = self._entries(weights, 'min', 'max')
        values = tf.cast(inputs, tf.float32)
        if tf.is_tensor(training) or training:
            self._update(values, low, high, tf.cast(training, tf.bool))
        minimum = tf.convert_to_tensor(low)
        maximum = tf.maximum(tf.convert_to_tensor(high), minimum + _SMALLEST_WIDTH)
        quantized = tf.quantization.fake_quant_with_min_max_vars(
            values, minimum, maximum, num_bits=self.bits
        )
        return tf.cast(quantized, inputs.dtype)

    def bounds(self, weights: Mapping[str, Any]) -> tuple[float, float]:
        """Returns the ends of the range; the output may lie up to half a step beside them.

        Args:
            weights: The dictionary that `build` returned, with values (not inside a
                `tf.function`).
        """
        low, high = (np.float32(v.numpy()) for v in self._entries(weights, 'min', 'max'))
        return float(low), float(max(high, low + np.float32(_SMALLEST_WIDTH)))

    def step(self, weights: Mapping[str, Any]) -> tf.Tensor:
        """Returns the difference between two neighbouring values of the output.

        Args:
            weights: The dictionary that `build` returned.

        Returns:
            float64 `[]`, > 0.
        """
        low, high = (
            tf.cast(tf.convert_to_tensor(v), tf.float64)
            for v in self._entries(weights, 'min', 'max')
        )
        return tf.maximum(high - low, _SMALLEST_WIDTH) / (2**self.bits - 1)

    def calibrated(self, statistics: TensorStatistics) -> dict[str, np.ndarray]:
        """Returns the range from the smallest to the largest value of a tensor, with zero in it.

        Args:
            statistics: The statistics of the tensor that enters the quantizer.

        Returns:
            `{'min': [], 'max': []}`, float32.
        """
        low, high = _usable_range(tf.constant(statistics.minimum), tf.constant(statistics.maximum))
        return {'min': low.numpy(), 'max': high.numpy()}

    def get_config(self) -> dict[str, Any]:
        """Returns the constructor's arguments."""
        return {'bits': self.bits, 'decay': self.decay}

    def _update(
        self, values: tf.Tensor, low: tf.Variable, high: tf.Variable, training: tf.Tensor
    ) -> None:
        old = [tf.convert_to_tensor(low), tf.convert_to_tensor(high)]
        new_low, new_high = call_traced(
            _moved, [tf.stop_gradient(values)], [*old, training], decay=self.decay
        )
        # No tf.cond: under tf.distribute variables cannot be assigned in one.
        low.assign(new_low)
        high.assign(new_high)


def _moved(
    values: tf.Tensor, low: tf.Tensor, high: tf.Tensor, training: tf.Tensor, decay: float
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns a range after a batch; the range itself unless `training`."""
    batch_low, batch_high = tf.reduce_min(values), tf.reduce_max(values)
    # The extremes of an empty batch are infinite. A NaN need not show in them, under XLA for
    # one, but does in a sum, which is the cheapest way to look for it.
    finite = [tf.math.is_finite(v) for v in (batch_low, batch_high, tf.reduce_sum(values))]
    usable = training & tf.reduce_all(finite)
    untrained = (low == UNTRAINED_MIN) & (high == UNTRAINED_MAX)
    keep = tf.where(untrained, 0.0, decay)
    new_low, new_high = _usable_range(
        keep * low + (1.0 - keep) * tf.minimum(batch_low, 0.0),
        keep * high + (1.0 - keep) * tf.maximum(batch_high, 0.0),
    )
    return tf.where(usable, new_low, low), tf.where(usable, new_high, high)


def _usable_range(low: tf.Tensor, high: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns a range with zero in it that is not empty, and not taken for an untrained one."""
    low = tf.minimum(low, 0.0)
    high = tf.maximum(tf.maximum(high, 0.0), low + _SMALLEST_WIDTH)
    mistaken = (low == UNTRAINED_MIN) & (high == UNTRAINED_MAX)
    return low, tf.where(mistaken, high + _SMALLEST_WIDTH, high)


def is_trained(weights: Mapping[str, Any]) -> bool:
    """Tells whether a range has seen data, in training or calibration.

    Args:
        weights: The dictionary that `build` of a range returned, with values (not inside a
            `tf.function`).

    Returns:
        False while the variables are at their start values −6 and 6. True for a range without
        variables, which needs no data.
    """
    if not weights:
        return True
    low, high = (float(weights[name].numpy()) for name in ('min', 'max'))
    return (low, high) != (UNTRAINED_MIN, UNTRAINED_MAX)
