"""A learnable factor per channel."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq.layers.named_variables import NamedVariables


@keras.saving.register_keras_serializable(package='tf_n2uq')
class ChannelScale(NamedVariables, keras.layers.Layer):
    """Multiplies each channel by a learnable factor: `inputs · scale`.

    Shapes: input and output `[..., channels]`, of any floating dtype. The variable `scale` is
    float32 `[channels]` and starts at 1.

    Source: "Going deeper with Image Transformers" (ICCV 2021), section 3 (LayerScale).
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        self.scale = self.add_weight('scale', (int(input_shape[-1]),), initializer='ones')
        super().build(input_shape)

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return inputs * self.scale

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape
