"""RPReLU: the activation of N2UQ's networks."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras


@keras.saving.register_keras_serializable(package='tf_n2uq')
class RPReLU(keras.layers.Layer):
    """Learnable bias, PReLU, learnable bias: `PReLU(x + b1) + b2`, all per channel.

    Source: "Nonuniform-to-Uniform Quantization" (CVPR 2022), section 4.1; the function itself is
    from "ReActNet" (ECCV 2020), equation 4. Slopes may become negative.

    Shapes: input and output `[..., channels]`; `bias_in`, `slope`, `bias_out`: `[channels]`,
    start values 0, 0.25, 0.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        channels = input_shape[-1]
        if channels is None:
            raise ValueError(
                f'RPReLU {self.name!r}: the number of channels (last axis) must be known, '
                f'got input shape {tuple(input_shape)}.'
            )
        shape = (int(channels),)
        self.bias_in = self.add_weight('bias_in', shape, initializer='zeros')
        self.slope = self.add_weight('slope', shape, initializer=keras.initializers.Constant(0.25))
        self.bias_out = self.add_weight('bias_out', shape, initializer='zeros')
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        shifted = inputs + self.bias_in
        return tf.nn.relu(shifted) - self.slope * tf.nn.relu(-shifted) + self.bias_out

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape
