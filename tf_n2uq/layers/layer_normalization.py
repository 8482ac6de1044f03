"""The parts that a layer normalization is made of in an integer network."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq.layers.integer_bias import quantizer_in_front


@keras.saving.register_keras_serializable(package='tf_n2uq')
class ChannelMean(keras.layers.Layer):
    """The mean over the last axis, which stays as an axis of size 1.

    Shapes: `[..., channels]` → `[..., 1]`. In a file it is a 1×1 convolution.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(inputs, axis=-1, keepdims=True)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return tf.TensorShape(input_shape)[:-1].concatenate([1])


@keras.saving.register_keras_serializable(package='tf_n2uq')
class InverseDeviation(keras.layers.Layer):
    """From a variance to what its deviation is divided by: `1 / sqrt(variance + epsilon)`.

    Behind a quantizer, a variance of 0 stands for all that is below half a step of it, and counts
    as half a step: `1 / sqrt(epsilon)` would leave no resolution for the others.

    Shapes: `[..., 1]` → `[..., 1]`. In a file it is a table over the 256 values of its input.
    """

    def __init__(self, epsilon: float = 1e-3, **kwargs: Any) -> None:
        """Creates the layer.

        Args:
            epsilon: added to the variance.
            **kwargs: Keras layer arguments.
        """
        super().__init__(**kwargs)
        self.epsilon = float(epsilon)
        self.supports_masking = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.math.rsqrt(self._at_least(inputs) + tf.cast(self.epsilon, inputs.dtype))

    @tf.autograph.experimental.do_not_convert
    def _at_least(self, variance: tf.Tensor) -> tf.Tensor:
        quantizer = quantizer_in_front(self)
        if quantizer is None:
            return variance
        step = quantizer.quantizer.int8_scale(quantizer.quantizer_weights)
        return tf.maximum(variance, tf.stop_gradient(tf.cast(step / 2, variance.dtype)))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), 'epsilon': self.epsilon}
