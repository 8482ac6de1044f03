"""The correction of averages over windows that hang over the border of an image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras


@keras.saving.register_keras_serializable(package='tf_n2uq')
class BorderScale(keras.layers.Layer):
    """Turns an average over zero padding into an average over the image alone.

    Where a pooling window hangs over the border, Keras averages over the part of the window that
    lies in the image. An integer kernel averages full windows only. So zeros are put around the
    image, full windows are averaged, and this layer multiplies each pixel by the size of the window
    divided by the size of the part in the image.

    Shapes: `[batch, height, width, channels]`, in and out, of any floating dtype.
    """

    def __init__(self, rows: Sequence[float], columns: Sequence[float], **kwargs: Any) -> None:
        """Creates the layer.

        Args:
            rows: the factor of each row, `height` numbers. The factor of a pixel is the factor of
                its row times the factor of its column.
            columns: the factor of each column, `width` numbers.
            **kwargs: Keras layer arguments.
        """
        super().__init__(**kwargs)
        self.rows = [float(factor) for factor in rows]
        self.columns = [float(factor) for factor in columns]
        self.supports_masking = True

    def factors(self) -> np.ndarray:
        """Returns the factor of each pixel, float32 `[1, height, width, 1]`."""
        return np.multiply.outer(self.rows, self.columns).astype(np.float32)[None, :, :, None]

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return inputs * tf.cast(self.factors(), inputs.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), 'rows': self.rows, 'columns': self.columns}
