"""A part of a tensor, along any axes but that of the batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras


@keras.saving.register_keras_serializable(package='tf_n2uq')
class Slice(keras.layers.Layer):
    """Takes a part of each image: every `step`-th number from `start` on along each axis.

    Shapes: `[batch, …]` → `[batch, *counts]`, of any floating dtype, for inputs of as many axes as
    there are counts. In a file this layer is a `STRIDED_SLICE`, between `RESHAPE`s if steps are
    larger than 1.

    Attributes:
        starts: the first index along each axis behind the batch.
        counts: how many numbers are taken along each axis; None for the whole axis.
        steps: the distance between two of them, at least 1.
    """

    def __init__(
        self,
        starts: Sequence[int],
        counts: Sequence[int | None],
        steps: Sequence[int] | None = None,
        **kwargs: Any,
    ) -> None:
        """Creates the layer.

        Args:
            starts: see the attribute.
            counts: see the attribute.
            steps: see the attribute; None for 1 along each axis.
            **kwargs: Keras layer arguments.

        Raises:
            ValueError: if the arguments do not have one number of the right size for each axis.
        """
        super().__init__(**kwargs)
        self.starts = list(map(int, starts))
        self.counts = [None if count is None else int(count) for count in counts]
        self.steps = [1] * len(self.counts) if steps is None else list(map(int, steps))
        if not self._is_valid():
            raise ValueError(
                'starts, counts, steps: expected one number for each axis behind the batch, starts '
                'of at least 0, counts and steps of at least 1, and no start or step where the '
                f'count is None, got {starts!r}, {counts!r} and {steps!r}; give such numbers.'
            )
        self.supports_masking = True

    def _is_valid(self) -> bool:
        if not len(self.starts) == len(self.counts) == len(self.steps):
            return False
        return all(
            (start, step) == (0, 1) if count is None else start >= 0 and count >= 1 and step >= 1
            for start, count, step in zip(self.starts, self.counts, self.steps, strict=True)
        )

    def call(self, inputs: tf.Tensor) -> tf.Tensor:
        spec = [
            slice(None) if count is None else slice(start, start + (count - 1) * step + 1, step)
            for start, count, step in zip(self.starts, self.counts, self.steps, strict=True)
        ]
        return inputs[(slice(None), *spec)]

    def compute_output_shape(self, input_shape: Any) -> Any:
        batch, *sizes = tf.TensorShape(input_shape).as_list()
        counts = [
            size if count is None else count for size, count in zip(sizes, self.counts, strict=True)
        ]
        return tf.TensorShape([batch, *counts])

    def get_config(self) -> dict[str, Any]:
        own = {'starts': self.starts, 'counts': self.counts, 'steps': self.steps}
        return {**super().get_config(), **own}
