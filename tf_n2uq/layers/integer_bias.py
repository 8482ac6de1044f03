"""What an integer network makes of a bias: a whole number of a kernel's accumulator units."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import tensorflow as tf
import tf_keras as keras

from tf_n2uq.layers.channel_line import is_channel_line, line_of
from tf_n2uq.layers.quantize import Quantize

if TYPE_CHECKING:
    from tf_n2uq.layers.quantized_kernel import QuantizedKernel
    from tf_n2uq.layers.rprelu import RPReLU

# A line per channel is a 1×1 depthwise kernel in the file, of ±127 units.
_LINE_UNITS = 127


def add_at_inference(
    outputs: tf.Tensor, training: Any, rounding: Callable[[], tf.Tensor | None]
) -> tf.Tensor:
    """Adds to a layer's output what rounding its bias adds, unless it is being trained.

    Args:
        outputs: what the layer computes.
        training: bool, Python's or a tensor's; None for Keras' learning phase.
        rounding: makes a tensor that broadcasts to `outputs`, or None for nothing.

    Returns:
        The shape and dtype of `outputs`.
    """
    if training is None:
        training = keras.backend.learning_phase()
    in_training = tf.get_static_value(tf.cast(training, tf.bool))
    added = None if in_training else rounding()
    if added is None:
        return outputs
    if in_training is None:
        added = tf.where(tf.cast(training, tf.bool), tf.zeros_like(added), added)
    return outputs + tf.cast(added, outputs.dtype)


def line_rounding(layer: RPReLU) -> tuple[tf.Tensor, tf.Tensor] | None:
    """Returns what rounding to int32 adds to the two lines of an RPReLU at inference.

    Where an RPReLU is no part of a quantizer, it is one line per channel left of its knee and
    another right of it in the file, each with an integer for a bias.

    Args:
        layer: a layer that is connected in a model.

    Returns:
        Two tensors, float64 `[channels]`: left of the knee, and right of it. None if the layer
        has no single quantizer in front of it.
    """
    quantizer = quantizer_in_front(layer)
    if quantizer is None:
        return None
    scale = quantizer.quantizer.int8_scale(quantizer.quantizer_weights)
    slope, knee, offset = (
        tf.cast(tf.convert_to_tensor(variable), tf.float64)
        for variable in (layer.slope, layer.bias_in, layer.bias_out)
    )
    unit = scale / _LINE_UNITS
    left_unit = tf.abs(slope) * unit
    # A line without a slope is a constant, as exact as its output is.
    left = tf.math.divide_no_nan(slope * knee + offset, left_unit)
    right = (knee + offset) / unit
    return (
        tf.stop_gradient((tf.round(left) - left) * left_unit),
        tf.stop_gradient((tf.round(right) - right) * unit),
    )


def bias_rounding(kernel: QuantizedKernel) -> tf.Tensor | None:
    """Returns what rounding to int32 adds to the bias of a layer at inference.

    The bias of an integer layer, with what a batch normalization behind it adds, is an integer in
    units of input scale times kernel scale. With few levels that unit is coarse enough for
    predictions to depend on it, so a network that shall predict what its integer file predicts
    has to round too.

    Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient
    Integer-Arithmetic-Only Inference", CVPR 2018, section 2.4.

    Args:
        kernel: a layer that is connected in a model: its input scale is the business of the
            quantizer in front of it, and most of its bias that of the normalization behind it.

    Returns:
        float64 `[output channels]`, to be added to the output of the layer, before the
        normalization. None if the layer has no single quantizer in front of it.
    """
    quantizer = quantizer_in_front(kernel)
    if quantizer is None or len(kernel.kernel_quantizers) != 1:
        return None
    scale = quantizer.quantizer.int8_scale(quantizer.quantizer_weights)
    ((attribute, kernel_quantizer, weights),) = kernel.kernel_quantizers
    values = tf.cast(tf.convert_to_tensor(getattr(kernel.layer, attribute)), tf.float32)
    unit = tf.reshape(tf.cast(kernel_quantizer.integers(values, weights)[1], tf.float64), [-1])
    bias = _bias(kernel.layer, _line_behind(kernel))
    usable = (unit > 0) & tf.math.is_finite(bias)
    grid = tf.where(usable, unit, tf.ones_like(unit)) * scale * kernel_quantizer.bias_units
    rounded = tf.where(usable, grid * tf.round(bias / grid), bias)
    return tf.stop_gradient(tf.where(usable, rounded - bias, tf.zeros_like(bias)))


def _bias(layer: keras.layers.Layer, line: keras.layers.Layer | None) -> tf.Tensor:
    """The layer's bias plus what, in front of the line behind it, would do what that adds."""
    bias = tf.zeros([], tf.float64)
    if layer.use_bias:
        bias = tf.cast(tf.convert_to_tensor(layer.bias), tf.float64)
    if line is None:
        return bias
    slope, offset = line_of(line)
    # A channel with γ = 0 gets an infinite bias here, and is left alone.
    return bias + offset / slope


def quantizer_in_front(layer: keras.layers.Layer) -> Quantize | None:
    """Returns the quantizer whose int8 tensor a layer reads, perhaps padded, pooled or reshaped.

    Args:
        layer: a layer that is connected in a model.

    Returns:
        None if there is no single one.
    """
    while (parent := _only(_parents_of(layer))) is not None:
        if isinstance(parent, Quantize):
            if not parent.quantizer.is_identity:
                return parent
        elif parent.weights:
            return None
        layer = parent
    return None


def _line_behind(layer: keras.layers.Layer) -> keras.layers.Layer | None:
    """The layer that the operator of a kernel takes on: a batch normalization as a rule."""
    reader = _only(node.layer for node in layer.outbound_nodes)
    return reader if reader is not None and is_channel_line(reader) else None


def _parents_of(layer: keras.layers.Layer) -> Iterable[keras.layers.Layer]:
    """Yields the layers that a layer reads, in all models that it is part of."""
    for node in layer.inbound_nodes:
        for parent in node.parent_nodes:
            yield parent.layer


def _only(layers: Iterable[Any]) -> Any | None:
    found = {id(layer): layer for layer in layers}
    return next(iter(found.values())) if len(found) == 1 else None
