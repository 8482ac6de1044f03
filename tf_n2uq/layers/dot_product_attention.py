"""The part of multi-head attention without weights: two products of tensors and a softmax."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras


@keras.saving.register_keras_serializable(package='tf_n2uq')
class DotProductAttention(keras.layers.Layer):
    """Computes softmax(query · keyᵀ / √depth) · value for each head.

    The layer stays in float in a quantized network and in its file. The projections in front of it
    and behind it are `Dense` layers, which are quantized. `tf_n2uq.annotate` makes both of a
    `tf_keras.layers.MultiHeadAttention`.

    Shapes: a list of query `[batch, …, heads · depth]`, key `[batch, …, heads · depth]` and value
    `[batch, …, heads · value depth]`, with the numbers of one head side by side, and optionally a
    mask `[batch, targets, sources]` or one that broadcasts to it, where 0 hides a source. →
    `[batch, …, heads · value depth]`, with the axes of the query. All but the mask are of one
    floating dtype.

    Source: Vaswani et al., "Attention Is All You Need", NeurIPS 2017, section 3.2.

    Attributes:
        num_heads: the number of heads.
        dropout: the share of the weights of attention that are 0 in training.
        attention_axes: the axes of the query over which it attends, without batch and channels;
            None for all of them. There are as many and the same ones in key and value.
        causal: whether a target sees only the sources up to its own place.
    """

    def __init__(
        self,
        num_heads: int,
        dropout: float = 0.0,
        attention_axes: Sequence[int] | None = None,
        causal: bool = False,
        **kwargs: Any,
    ) -> None:
        """Creates the layer.

        Args:
            num_heads: the number of heads, at least 1.
            dropout: the share of the weights of attention that are 0 in training, in 0..1.
            attention_axes: the axes over which the query attends; None for all but batch and
                channels.
            causal: whether a target sees only the sources up to its own place.
            **kwargs: Keras layer arguments.

        Raises:
            ValueError: if `num_heads` is no whole number of at least 1, or `attention_axes` are no
                axes.
        """
        super().__init__(**kwargs)
        if isinstance(num_heads, bool) or not isinstance(num_heads, int) or num_heads < 1:
            raise ValueError(
                f'num_heads: expected a whole number of at least 1, got {num_heads!r}; give the '
                'number of heads.'
            )
        if attention_axes is not None and not (
            isinstance(attention_axes, (list, tuple))
            and all(type(axis) is int and axis for axis in attention_axes)
            and 0 < len(set(attention_axes)) == len(attention_axes)
        ):
            raise ValueError(
                f'attention_axes: expected different axes behind the batch, such as (1, 2), or '
                f'None, got {attention_axes!r}; give the axes over which the query attends.'
            )
        self.num_heads = num_heads
        self.dropout = dropout
        self.attention_axes = None if attention_axes is None else tuple(attention_axes)
        self.causal = causal
        self.supports_masking = True
        self._drop = keras.layers.Dropout(dropout)

    def build(self, input_shape: Any) -> None:
        """Checks that the channels can be divided among the heads.

        Raises:
            ValueError: if they cannot, or if the shapes have different numbers of axes.
        """
        query, key, value = (tf.TensorShape(shape).as_list() for shape in input_shape[:3])
        divides = all(
            shape[-1] is not None and shape[-1] % self.num_heads == 0
            for shape in (query, key, value)
        )
        if not divides or query[-1] != key[-1] or not 2 < len(query) == len(key) == len(value):
            raise ValueError(
                f'inputs: expected query, key and value [batch, …, channels] whose channels '
                f'{self.num_heads} heads can divide, and as many in query and key, got '
                f'{query}, {key}, {value}; project them to such numbers of channels.'
            )
        super().build(input_shape)

    def call(
        self, inputs: Sequence[tf.Tensor], mask: Any = None, training: Any = None
    ) -> tf.Tensor:
        query, key, value = (self._by_head(tensor) for tensor in inputs[:3])
        query *= tf.cast(query.shape[-1], query.dtype) ** -0.5
        scores = tf.matmul(query, key, transpose_b=True)
        seen = self._seen(scores, inputs[3] if len(inputs) > 3 else None, mask)
        if seen is not None:
            # As `keras.layers.Softmax` hides what a mask leaves out.
            hidden = -3e4 if scores.dtype == tf.float16 else -1e9
            scores += (1.0 - tf.cast(seen, scores.dtype)) * hidden
        weights = self._drop(tf.nn.softmax(scores), training=training)
        return self._together(tf.matmul(weights, value), inputs[0])

    def compute_mask(self, inputs: Any, mask: Any = None) -> Any:
        """Returns the mask of the query."""
        del inputs
        return None if mask is None else mask[0]

    def _order(self, rank: int) -> tuple[list[int], list[int]]:
        """Returns the axes that stay apart, and those of attention, without batch and channels."""
        every = list(range(1, rank - 1))
        attended = every if self.attention_axes is None else [a % rank for a in self.attention_axes]
        return [axis for axis in every if axis not in attended], attended

    def _by_head(self, tensor: tf.Tensor) -> tf.Tensor:
        """Returns a tensor as `[batch, apart, heads, places, depth]`."""
        apart, attended = self._order(tensor.shape.rank)
        last = tensor.shape.rank - 1
        moved = tensor
        if apart:
            moved = tf.transpose(tensor, [0, *apart, *attended, last])
        apart_size, places = (_size(tensor, axes) for axes in (apart, attended))
        depth = tensor.shape[-1] // self.num_heads
        heads = tf.reshape(moved, [-1, apart_size, places, self.num_heads, depth])
        return tf.transpose(heads, [0, 1, 3, 2, 4])

    def _together(self, heads: tf.Tensor, query: tf.Tensor) -> tf.Tensor:
        """Returns what `_by_head` has taken apart in the axes of the query."""
        apart, attended = self._order(query.shape.rank)
        order = [0, *apart, *attended]
        channels = heads.shape[-1] * self.num_heads
        sizes = [-1, *(_size(query, [axis]) for axis in order[1:]), channels]
        result = tf.reshape(tf.transpose(heads, [0, 1, 3, 2, 4]), sizes)
        if apart:
            places = [order.index(axis) for axis in range(len(order))]
            result = tf.transpose(result, [*places, len(order)])
        return result

    def _seen(self, scores: tf.Tensor, given: Any, masks: Any) -> Any:
        """Returns where a target sees a source, `[batch, apart, heads, targets, sources]`."""
        parts = []
        if given is not None:
            parts.append(tf.cast(given, tf.bool)[:, tf.newaxis, tf.newaxis])
        for number, each in enumerate(masks[:3] if masks is not None else ()):
            if each is not None:
                places = each[:, :, tf.newaxis] if number == 0 else each[:, tf.newaxis, :]
                parts.append(places[:, tf.newaxis, tf.newaxis])
        if self.causal:
            targets, sources = scores.shape[-2:]
            parts.append(tf.range(targets)[:, tf.newaxis] >= tf.range(sources)[tf.newaxis])
        seen = None
        for part in parts:
            seen = part if seen is None else seen & part
        return seen

    def compute_output_shape(self, input_shape: Any) -> Any:
        query, _, value = (tf.TensorShape(shape) for shape in input_shape[:3])
        return tf.TensorShape([*query[:-1], value[-1]])

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            'num_heads': self.num_heads,
            'dropout': self.dropout,
            'attention_axes': self.attention_axes,
            'causal': self.causal,
        }


def _size(tensor: tf.Tensor, axes: Sequence[int]) -> Any:
    """Returns the product of the sizes of axes, as a number where all sizes are known."""
    size: Any = 1
    for axis in axes:
        known = tensor.shape[axis]
        size = size * (tf.shape(tensor)[axis] if known is None else known)
    return size
