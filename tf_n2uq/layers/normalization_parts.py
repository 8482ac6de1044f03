"""The parts that a layer normalization is made of in an integer network."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq.layers.connections import ReadsInt8


@keras.saving.register_keras_serializable(package='tf_n2uq')
class ChannelMean(keras.layers.Layer):
    """Computes the mean over the last axis, which stays as an axis of size 1.

    Shapes: `[..., channels]` → `[..., 1]`, of any floating dtype. In a file this layer is a 1×1
    convolution.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(inputs, axis=-1, keepdims=True)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return tf.TensorShape(input_shape)[:-1].concatenate([1])


@keras.saving.register_keras_serializable(package='tf_n2uq')
class InverseDeviation(ReadsInt8, keras.layers.Layer):
    """Computes the inverse of the standard deviation: `1 / sqrt(variance + epsilon)`.

    Behind a quantizer, the value 0 stands for all variances below half a step of the quantizer.
    Such a variance counts as half a step. Without this, the output for 0 would be
    `1 / sqrt(epsilon)`, so large that the 8-bit output would have no resolution for the others.

    Shapes: `[..., 1]` → `[..., 1]`, of any floating dtype. In a file this layer is a table over the
    256 values of its input.
    """

    def __init__(
        self, epsilon: float = 1e-3, input_quantizer: str | None = None, **kwargs: Any
    ) -> None:
        """Creates the layer.

        Args:
            epsilon: added to the variance.
            input_quantizer: the name of the `Quantize` layer whose step counts. With None, the
                layer finds this quantizer when the layer is connected.
            **kwargs: Keras layer arguments.
        """
        super().__init__(**kwargs)
        self.epsilon = float(epsilon)
        self.input_quantizer = input_quantizer
        self.supports_masking = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return self._at_own_scale(inputs)

    @tf.autograph.experimental.do_not_convert
    def _at_own_scale(self, variance: tf.Tensor) -> tf.Tensor:
        return self.inverse(variance, self.input_scale())

    def inverse(self, variance: tf.Tensor, scale: tf.Tensor | float | None) -> tf.Tensor:
        """Returns the inverse deviation of variances of a known scale.

        Args:
            variance: any shape, floating point.
            scale: the scale of the int8 tensor that holds the variances, `[]`; None for a float
                tensor.

        Returns:
            A tensor with the shape and dtype of `variance`.
        """
        if scale is not None:
            half_a_step = tf.stop_gradient(tf.cast(scale / 2, variance.dtype))
            variance = tf.maximum(variance, half_a_step)
        return tf.math.rsqrt(variance + tf.cast(self.epsilon, variance.dtype))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            'epsilon': self.epsilon,
            'input_quantizer': self.input_quantizer,
        }
