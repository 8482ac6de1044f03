"""One call of a layer whose kernel is quantized, and the decisions about it."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq.layers.channel_offset import HasOffset
from tf_n2uq.layers.connections import Found, ReadsInt8
from tf_n2uq.layers.layer_spec import is_channel_line, line_of
from tf_n2uq.quantizers.range import RangeQuantizer


@dataclasses.dataclass(frozen=True)
class KernelRole:
    """Names of the layers that a kernel computes with in an integer network.

    Attributes:
        input_quantizer: the name of the `Quantize` layer that makes the int8 tensor which the
            kernel multiplies; None if no single layer makes this tensor.
        line: the name of the layer behind the kernel whose slope and offset the kernel's operator
            takes on, as a rule a batch normalization; None if the operator takes on no layer.
        is_last: whether no layer but an 8-bit range at the end reads the kernel's output.
    """

    input_quantizer: str | None = None
    line: str | None = None
    is_last: bool = False


class KernelUse(ReadsInt8):
    """One call of a layer whose kernel is quantized, and the layers that this call computes with.

    A model may call a layer several times. The calls share the kernel. Each call has the int8
    tensor that it reads, and the layers behind it that its operator computes too.

    Attributes:
        name: the name of the layer.
        role: the layers that the call computes with in the integer network, as the rewrite has
            decided. None in networks of version 0.1.0: the layer then decides when it is connected.
    """

    def __init__(self, name: str, role: KernelRole | None) -> None:
        """Creates the record of a call that is not connected yet.

        Args:
            name: the name of the layer.
            role: the decisions of the rewrite, or None.
        """
        self.name = name
        self.role = role
        self.input_quantizer = None if role is None else role.input_quantizer
        self._line: Found | None = None
        self._result: Found | None = None

    @property
    def line(self) -> keras.layers.Layer | None:
        """The layer behind the kernel whose slope and offset the operator takes on, if found."""
        return None if self._line is None else self._line.layer

    def following(self) -> list[tf.Variable]:
        """Returns variables near the kernel that follow the data in training; empty if none do.

        They are the mean of the batch normalization behind the kernel, or the range in front of it.
        """
        if isinstance(self.line, keras.layers.BatchNormalization):
            return [self.line.moving_mean] if self.line.trainable else []
        source = None if self._source is None else self._source.layer
        is_range = isinstance(getattr(source, 'quantizer', None), RangeQuantizer)
        if source is None or not (is_range and source.trainable):
            return []
        return list(source.quantizer_weights.values())

    def connected(self, inputs: Any, kwargs: Mapping[str, Any]) -> None:
        if self.role is None or self.role.input_quantizer is not None:
            super().connected(inputs, kwargs)

    def find_operator(self, layers: Sequence[keras.layers.Layer], quantizer: Any) -> None:
        """Finds the layers behind the kernel, see `connections.TakesOnLine`."""
        if self.role is None:
            candidates = [layer for layer in layers[:1] if is_channel_line(layer)]
        else:
            candidates = [layer for layer in layers if layer.name == self.role.line]
        if candidates:
            self._line = Found(candidates[0])
        if isinstance(quantizer, HasOffset) and quantizer.offset and self._result is None:
            self._result = Found(quantizer)

    def whole_bias(self, bias: tf.Tensor) -> tf.Tensor:
        """Returns the bias that does the work of the bias, the line's offset and the offset.

        Args:
            bias: float64, the layer's own bias, `[output channels]` or `[]`.

        Returns:
            float64 `[output channels]` or `[]`.
        """
        added = None if self._result is None else self._result.layer.channel_offset()
        offset = tf.zeros([], tf.float64) if added is None else tf.cast(added, tf.float64)
        if self.line is None:
            return bias + offset
        slope, line_offset = line_of(self.line)
        # A channel with γ = 0 gets an infinite bias here, which `bias_rounding` does not round.
        return bias + (line_offset + offset) / slope
