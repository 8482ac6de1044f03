"""Channels in the places of pixels, and back, as `tf.nn.depth_to_space` moves them."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras


class _Blocks(keras.layers.Layer):
    """What both layers share: the size of the blocks of pixels."""

    def __init__(self, block_size: int, **kwargs: Any) -> None:
        """Creates the layer.

        Args:
            block_size: how many rows and how many columns a block has, at least 2.
            **kwargs: Keras layer arguments.

        Raises:
            ValueError: if `block_size` is no whole number of at least 2.
        """
        super().__init__(**kwargs)
        if isinstance(block_size, bool) or not isinstance(block_size, int) or block_size < 2:
            raise ValueError(
                f'block_size: expected a whole number of at least 2, got {block_size!r}; give the '
                'number of rows, which is the number of columns too, of a block of pixels.'
            )
        self.block_size = block_size
        self.supports_masking = True

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), 'block_size': self.block_size}


@keras.saving.register_keras_serializable(package='tf_n2uq')
class DepthToSpace(_Blocks):
    """Puts channels in the places of pixels: `tf.nn.depth_to_space`, also called pixel shuffle.

    Shapes: `[batch, height, width, block_size² · channels]` → `[batch, height · block_size,
    width · block_size, channels]`, of any floating dtype. In a file this layer is a `TRANSPOSE`
    between `RESHAPE`s.

    Source: Shi et al., "Real-Time Single Image and Video Super-Resolution Using an Efficient
    Sub-Pixel Convolutional Neural Network", CVPR 2016, equation 4, but with the channels of each
    pixel side by side, as TensorFlow orders them.

    Attributes:
        block_size: how many rows and how many columns a pixel becomes.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.nn.depth_to_space(inputs, self.block_size)

    def compute_output_shape(self, input_shape: Any) -> Any:
        batch, height, width, channels = tf.TensorShape(input_shape).as_list()
        sizes = [None if size is None else size * self.block_size for size in (height, width)]
        return tf.TensorShape([batch, *sizes, channels // self.block_size**2])


@keras.saving.register_keras_serializable(package='tf_n2uq')
class SpaceToDepth(_Blocks):
    """Puts blocks of pixels in the places of channels: `tf.nn.space_to_depth`.

    Shapes: `[batch, height, width, channels]` → `[batch, height / block_size, width / block_size,
    block_size² · channels]`, of any floating dtype. In a file this layer is a `TRANSPOSE` between
    `RESHAPE`s.

    Attributes:
        block_size: how many rows and how many columns become one pixel.
    """

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.nn.space_to_depth(inputs, self.block_size)

    def compute_output_shape(self, input_shape: Any) -> Any:
        batch, height, width, channels = tf.TensorShape(input_shape).as_list()
        sizes = [None if size is None else size // self.block_size for size in (height, width)]
        return tf.TensorShape([batch, *sizes, channels * self.block_size**2])
