"""A learnable line per channel."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq.layers.named_variables import NamedVariables


@keras.saving.register_keras_serializable(package='tf_n2uq')
class ChannelAffine(NamedVariables, keras.layers.Layer):
    """Multiplies and shifts each channel: `inputs · gamma + beta`.

    Shapes: input and output `[..., channels]`, of any floating dtype. The variables `gamma` and
    `beta` are float32 `[channels]` and start at 1 and 0.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        shape = (int(input_shape[-1]),)
        self.gamma = self.add_weight('gamma', shape, initializer='ones')
        self.beta = self.add_weight('beta', shape, initializer='zeros')
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return inputs * self.gamma + self.beta

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape
