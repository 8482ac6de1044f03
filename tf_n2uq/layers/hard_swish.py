"""Hard swish and hard sigmoid: swish and sigmoid made of straight lines."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras


@keras.saving.register_keras_serializable(package='tf_n2uq')
class HardSigmoid(keras.layers.Layer):
    """Computes `relu6(x + 3) / 6`, element by element.

    Input and output have the same shape, which may be any, and the same floating dtype.

    Source: "Searching for MobileNetV3" (ICCV 2019), section 5.2.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.nn.relu6(inputs + 3.0) * (1.0 / 6.0)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


@keras.saving.register_keras_serializable(package='tf_n2uq')
class HardSwish(keras.layers.Layer):
    """Computes `x · relu6(x + 3) / 6`, element by element.

    Input and output have the same shape, which may be any, and the same floating dtype.

    Source: "Searching for MobileNetV3" (ICCV 2019), section 5.2.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.supports_masking = True

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return inputs * (tf.nn.relu6(inputs + 3.0) * (1.0 / 6.0))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape
