"""RPReLU: the activation of N2UQ's networks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf
import tf_keras as keras

from tf_n2uq._compat.keras_models import layers_in_front
from tf_n2uq.layers.channel_offset import HasOffset, HasShift, connect_offsets
from tf_n2uq.layers.connections import Found, ReadsInt8
from tf_n2uq.layers.deployment import LINE_UNITS
from tf_n2uq.layers.integer_bias import add_at_inference, bias_rounding

# With slopes like 1/4, results would lie in the middle between two steps of int8, and chance would
# round them. So many int32 units, of which a step has 127 or more, keep them off the middle.
_UNITS_OFF_TIES = 3


class SameRangeLines(NamedTuple):
    """The two lines of an RPReLU between int8 tensors of one scale, all float64 `[channels]`.

    Let u be the number that the int8 tensor in front holds, which includes its offset. Right of
    the knee, the result is `u + steps · scale`. Left of the knee, the line
    `(slope − 1) · u + correction` is added to this.

    Attributes:
        steps: whole numbers of int8 steps.
        steps_error: the error of rounding to `steps`, in units of the numbers.
        correction: the offset of the line left of the knee, in whole int32 units of a file.
        correction_error: the error of rounding `correction` to these units.
    """

    steps: tf.Tensor
    steps_error: tf.Tensor
    correction: tf.Tensor
    correction_error: tf.Tensor


@keras.saving.register_keras_serializable(package='tf_n2uq')
class RPReLU(ReadsInt8, HasOffset, HasShift, keras.layers.Layer):
    """Computes `PReLU(x + bias_in) + bias_out`, with learnable numbers for each channel.

    Slopes may become negative.

    Source: "Nonuniform-to-Uniform Quantization" (CVPR 2022), section 4.1; the function itself is
    from "ReActNet" (ECCV 2020), equation 4.

    Shapes: input and output `[..., channels]`, of any floating dtype. The variables `bias_in`,
    `slope` and `bias_out` are float32 `[channels]` and start at 0, 0.25 and 0.

    With `shared=True`, all channels have one slope and one `bias_out`, of the shape `[1]`. Between
    a kernel and thresholds, the layer then costs nothing in an integer file, because all channels
    have the same table of levels.
    """

    _read: Found | None = None

    def __init__(
        self,
        integer_bias: bool = False,
        input_quantizer: str | None = None,
        same_range: bool = False,
        shared: bool = False,
        offset: Mapping[str, int] | None = None,
        **kwargs: Any,
    ) -> None:
        """Creates the layer.

        Args:
            integer_bias: whether, at inference, the biases are rounded to whole numbers of int32
                units, as in a file that writes the function in a range of its own (see
                `line_rounding`). Schemes of version 0.1.0 set this where the file computes the
                function, and does not compare its input to thresholds.
            input_quantizer: the name of the `Quantize` layer whose scale is in the unit of the
                biases. With None, the layer finds this quantizer when the layer is connected.
            same_range: whether the output is rounded to the range of `input_quantizer`, as in a
                file that writes the function in the range that it reads (see `same_range_lines`).
                Schemes set this.
            shared: whether all channels share `slope` and `bias_out`.
            offset: the offset per channel of the int8 tensor of the output, as a sum of the shifts
                of other layers: a factor by the name of each layer; see `channel_offset`.
            **kwargs: Keras layer arguments.
        """
        super().__init__(**kwargs)
        self.integer_bias = integer_bias
        self.input_quantizer = input_quantizer
        self.same_range = same_range
        self.shared = shared
        self.set_offset(offset or {})
        self.supports_masking = True

    def build(self, input_shape: Any) -> None:
        channels = input_shape[-1]
        if channels is None:
            raise ValueError(
                'input_shape: expected a known number of channels (the last axis) in front of '
                f'RPReLU {self.name!r}, got {tuple(input_shape)}; give the model an input of a '
                'known number of channels.'
            )
        shape = (int(channels),)
        common = (1,) if self.shared else shape
        quarter = keras.initializers.Constant(0.25)
        self.bias_in = self.add_weight('bias_in', shape, initializer='zeros')
        self.slope = self.add_weight('slope', common, initializer=quarter)
        self.bias_out = self.add_weight('bias_out', common, initializer='zeros')
        super().build(input_shape)

    def connected(self, inputs: Any, kwargs: Mapping[str, Any]) -> None:
        super().connected(inputs, kwargs)
        connect_offsets(self, inputs)
        for layer in layers_in_front(inputs):
            if isinstance(layer, HasOffset):
                self._read = Found(layer)
                break

    def shift(self) -> tf.Tensor:
        """Returns what the function adds right of its knee, float32 `[channels]`."""
        return tf.convert_to_tensor(self.bias_in) + tf.convert_to_tensor(self.bias_out)

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs: tf.Tensor, training: Any = None) -> tf.Tensor:
        shifted = inputs + self.bias_in
        outputs = tf.nn.relu(shifted) - self.slope * tf.nn.relu(-shifted) + self.bias_out
        if self.integer_bias:
            return add_at_inference(outputs, training, lambda: self._rounding(shifted))
        scale = self.input_scale() if self.same_range else None
        if scale is None:
            return outputs
        outputs = tf.cast(outputs, tf.float32)
        rounded = add_at_inference(
            outputs, training, lambda: self._file_outputs(inputs, scale) - outputs
        )
        return tf.cast(self._in_range(rounded), inputs.dtype)

    def line_rounding(self) -> tuple[tf.Tensor, tf.Tensor] | None:
        """Returns the rounding errors of the biases of both lines at inference.

        Where the file computes an RPReLU in a range of its own, the function is one line per
        channel left of its knee and another line right of the knee. Each line has an integer bias.

        Returns:
            Two float64 tensors `[channels]`: the error left of the knee, and the error right of the
            knee. None if the scale of the layer's input is not known.
        """
        scale = self.input_scale()
        if scale is None:
            return None
        slope, knee, offset = self._parameters()
        unit = scale / LINE_UNITS
        # A line without a slope is a constant, as exact as its output is.
        left = bias_rounding(slope * knee + offset, tf.abs(slope), unit)
        right = bias_rounding(knee + offset, tf.ones([1], tf.float64), unit)
        return left, right

    def same_range_lines(
        self, scale: tf.Tensor, offset_in: tf.Tensor, offset_out: tf.Tensor
    ) -> SameRangeLines:
        """Returns the two lines of the function where its output has the range of its input.

        Args:
            scale: the scale of the range, float64 `[]`.
            offset_in: the offset of the int8 tensor in front, float64 `[channels]` or `[]`.
            offset_out: the offset of the int8 tensor of the output, likewise.
        """
        slope, knee, offset = self._parameters()
        exact = knee + offset + offset_out - offset_in
        steps = tf.round(exact / scale)
        right = steps * scale
        correction = slope * (knee - offset_in) + offset + offset_out - right
        unit = tf.abs(slope - 1.0)
        error = bias_rounding(correction, unit, scale / LINE_UNITS)
        error += _UNITS_OFF_TIES * unit * scale / LINE_UNITS
        return SameRangeLines(steps, right - exact, correction + error, error)

    def _parameters(self) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns slope, bias_in and bias_out, float64 `[channels]`."""
        variables = (self.slope, self.bias_in, self.bias_out)
        slope, knee, offset = (
            tf.broadcast_to(tf.cast(tf.convert_to_tensor(v), tf.float64), self.bias_in.shape)
            for v in variables
        )
        return slope, knee, offset

    def _rounding(self, shifted: tf.Tensor) -> tf.Tensor | None:
        lines = self.line_rounding()
        return None if lines is None else tf.where(shifted > 0, lines[1], lines[0])

    def _file_outputs(self, inputs: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
        """Returns the output of the file, float32.

        The file adds the left part to the int8 tensor in front, and whole steps to the sum. Both
        results saturate.
        """
        assert self._source is not None
        before = None if self._read is None else self._read.layer.channel_offset()
        behind = self.channel_offset()
        offset_in, offset_out = (
            tf.zeros([]) if each is None else each for each in (before, behind)
        )
        lines = self.same_range_lines(
            scale, tf.cast(offset_in, tf.float64), tf.cast(offset_out, tf.float64)
        )
        numbers = tf.cast(inputs, tf.float32) + self.bias_in
        right, left = (
            slope * numbers + self.bias_out + tf.cast(error, tf.float32)
            for slope, error in (
                (tf.ones([]), lines.steps_error),
                (self.slope, lines.correction_error),
            )
        )
        added = tf.where(self.slope <= 1.0, tf.nn.relu(left - right), -tf.nn.relu(right - left))
        whole = self._source.layer.rounded(tf.cast(inputs, tf.float32) + offset_in + added)
        return whole + tf.cast(lines.steps * scale, tf.float32) - offset_out

    def _in_range(self, outputs: tf.Tensor) -> tf.Tensor:
        """Rounds and clips float32 outputs to the range in front of the layer."""
        assert self._source is not None
        offset = self.channel_offset()
        if offset is None:
            return self._source.layer.rounded(outputs)
        return self._source.layer.rounded(outputs + offset) - offset

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            'integer_bias': self.integer_bias,
            'input_quantizer': self.input_quantizer,
            'same_range': self.same_range,
            'shared': self.shared,
            'offset': self.offset,
        }
