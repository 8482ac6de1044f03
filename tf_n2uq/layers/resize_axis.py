"""Resizing along one axis, as a product with a constant matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

# A weight is a whole number of these parts, so that an int8 kernel holds it exactly.
WEIGHT_PARTS = 127


@keras.saving.register_keras_serializable(package='tf_n2uq')
class ResizeAxis(keras.layers.Layer):
    """Computes each row (column) of an image from the two nearest rows (columns) of the input.

    Shapes: `[batch, height, width, channels]`, in and out, of any floating dtype. Height or width
    changes. In a file this layer is a 1×1 convolution over the resized axis.

    Attributes:
        axis: 1 for rows, 2 for columns.
        sources: for each row of the result, the first of the two rows of the input.
        parts: for each row of the result, the weight of the second row, in 127ths.
    """

    def __init__(
        self, axis: int, sources: Sequence[int], parts: Sequence[int], **kwargs: Any
    ) -> None:
        """Creates the layer.

        Args:
            axis: 1 for rows, 2 for columns.
            sources: see the attribute.
            parts: see the attribute; 0..127. The weight is 0 where the first row is the last row of
                the input, as there is no second row then.
            **kwargs: Keras layer arguments.

        Raises:
            ValueError: if there is no such axis, or not one part for each source.
        """
        super().__init__(**kwargs)
        if axis not in (1, 2) or len(sources) != len(parts):
            raise ValueError(
                f'axis, sources, parts: expected axis 1 or 2 and as many parts as sources, got '
                f'axis {axis}, {len(sources)} sources and {len(parts)} parts; give one part for '
                'each source.'
            )
        self.axis = int(axis)
        self.sources = [int(source) for source in sources]
        self.parts = [int(part) for part in parts]
        self.supports_masking = True

    def matrix(self, size: int) -> np.ndarray:
        """Returns the weights in 127ths, int32 `[size, size of the result]`.

        Args:
            size: height or width of the input.
        """
        weights = np.zeros((size, len(self.sources)), np.int32)
        results = np.arange(len(self.sources))
        weights[self.sources, results] = WEIGHT_PARTS - np.asarray(self.parts)
        between = np.asarray(self.parts) > 0
        weights[np.asarray(self.sources)[between] + 1, results[between]] = np.asarray(self.parts)[
            between
        ]
        return weights

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        weights = tf.constant(self.matrix(inputs.shape[self.axis]) / WEIGHT_PARTS, inputs.dtype)
        equation = 'bhwc,hr->brwc' if self.axis == 1 else 'bhwc,wr->bhrc'
        return tf.einsum(equation, inputs, weights)

    def compute_output_shape(self, input_shape: Any) -> Any:
        shape = tf.TensorShape(input_shape).as_list()
        shape[self.axis] = len(self.sources)
        return tf.TensorShape(shape)

    def get_config(self) -> dict[str, Any]:
        own = {'axis': self.axis, 'sources': self.sources, 'parts': self.parts}
        return {**super().get_config(), **own}
