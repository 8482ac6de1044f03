"""What makes an average over zero padding one over the image alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras


@keras.saving.register_keras_serializable(package='tf_n2uq')
class BorderScale(keras.layers.Layer):
    """Multiplies each pixel by the size of its pooling window over how much of that is image.

    Keras averages over the image only where a window hangs over its border. With zeros around
    the image and this factor behind the average, every window is full, which is how integer
    kernels can average.

    Shapes: `[batch, height, width, channels]`, in and out.
    """

    def __init__(self, rows: Sequence[float], columns: Sequence[float], **kwargs: Any) -> None:
        """Creates the layer.

        Args:
            rows: the factor of each row, `height` of them.
            columns: the factor of each column, `width` of them.
            **kwargs: Keras layer arguments.
        """
        super().__init__(**kwargs)
        self.rows = [float(factor) for factor in rows]
        self.columns = [float(factor) for factor in columns]
        self.supports_masking = True

    def factors(self) -> np.ndarray:
        """Returns the factors, float32 `[1, height, width, 1]`."""
        return np.multiply.outer(self.rows, self.columns).astype(np.float32)[None, :, :, None]

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return inputs * tf.cast(self.factors(), inputs.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), 'rows': self.rows, 'columns': self.columns}
