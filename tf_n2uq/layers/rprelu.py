"""RPReLU: the activation of N2UQ's networks."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq.layers.connections import ReadsInt8
from tf_n2uq.layers.deployment import LINE_UNITS
from tf_n2uq.layers.integer_bias import add_at_inference, bias_rounding


@keras.saving.register_keras_serializable(package='tf_n2uq')
class RPReLU(ReadsInt8, keras.layers.Layer):
    """Computes `PReLU(x + bias_in) + bias_out`, with learnable numbers for each channel.

    Slopes may become negative.

    Source: "Nonuniform-to-Uniform Quantization" (CVPR 2022), section 4.1; the function itself is
    from "ReActNet" (ECCV 2020), equation 4.

    Shapes: input and output `[..., channels]`, of any floating dtype. The variables `bias_in`,
    `slope` and `bias_out` are float32 `[channels]` and start at 0, 0.25 and 0.
    """

    def __init__(
        self, integer_bias: bool = False, input_quantizer: str | None = None, **kwargs: Any
    ) -> None:
        """Creates the layer.

        Args:
            integer_bias: whether, at inference, the biases are rounded to whole numbers of int32
                units, as in the file (see `line_rounding`). Schemes set this where the file
                computes the function, and does not compare its input to thresholds.
            input_quantizer: the name of the `Quantize` layer whose scale is in the unit of the
                biases. With None, the layer finds this quantizer when the layer is connected.
            **kwargs: Keras layer arguments.
        """
        super().__init__(**kwargs)
        self.integer_bias = integer_bias
        self.input_quantizer = input_quantizer
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
        self.bias_in = self.add_weight('bias_in', shape, initializer='zeros')
        self.slope = self.add_weight('slope', shape, initializer=keras.initializers.Constant(0.25))
        self.bias_out = self.add_weight('bias_out', shape, initializer='zeros')
        super().build(input_shape)

    @tf.autograph.experimental.do_not_convert
    def call(self, inputs: tf.Tensor, training: Any = None) -> tf.Tensor:
        shifted = inputs + self.bias_in
        outputs = tf.nn.relu(shifted) - self.slope * tf.nn.relu(-shifted) + self.bias_out
        if not self.integer_bias:
            return outputs
        return add_at_inference(outputs, training, lambda: self._rounding(shifted))

    def line_rounding(self) -> tuple[tf.Tensor, tf.Tensor] | None:
        """Returns the rounding errors of the biases of both lines at inference.

        Where the file computes an RPReLU, the function is one line per channel left of its knee and
        another line right of the knee. Each line has an integer bias.

        Returns:
            Two float64 tensors `[channels]`: the error left of the knee, and the error right of the
            knee. None if the scale of the layer's input is not known.
        """
        scale = self.input_scale()
        if scale is None:
            return None
        slope, knee, offset = (
            tf.cast(tf.convert_to_tensor(variable), tf.float64)
            for variable in (self.slope, self.bias_in, self.bias_out)
        )
        unit = scale / LINE_UNITS
        # A line without a slope is a constant, as exact as its output is.
        left = bias_rounding(slope * knee + offset, tf.abs(slope), unit)
        right = bias_rounding(knee + offset, tf.ones([1], tf.float64), unit)
        return left, right

    def _rounding(self, shifted: tf.Tensor) -> tf.Tensor | None:
        lines = self.line_rounding()
        return None if lines is None else tf.where(shifted > 0, lines[1], lines[0])

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            'integer_bias': self.integer_bias,
            'input_quantizer': self.input_quantizer,
        }
