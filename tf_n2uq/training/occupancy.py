"""Measures how full the levels of learned activation quantizers are."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq._compat.keras_models import nodes_in_order, tensors_read
from tf_n2uq.layers.quantize import Quantize
from tf_n2uq.ops import n2uq
from tf_n2uq.quantizers import LearnableThresholdQuantizer
from tf_n2uq.quantizers.adaptive_quantizer import in_use


def level_occupancy(model: keras.Model, batch: Any) -> dict[str, np.ndarray]:
    """Returns the fraction of values on each level of each learned activation quantizer.

    Args:
        model: A Functional or Sequential model with `Quantize` layers whose quantizer is a
            `LearnableThresholdQuantizer`.
        batch: The model's input with at least one example, such as images
            `[batch, height, width, channels]`.

    Returns:
        `{layer name: float32 array [2**bits]}` in the model's order. Entry i of an array is the
        fraction of values on level i, so that each array adds up to one.

    Raises:
        ValueError: `model` has no such layer or no symbolic inputs, or `batch` is empty.
    """
    readings = QuantizerProbe(model).read(batch)
    return {name: occupancy for name, (_, occupancy) in readings.items()}


class QuantizerProbe:
    """Reads the values that enter each learned activation quantizer, in one inference.

    The inference is compiled, so that a probe is built once and read many times. It reads the
    model's current variables. An adaptive model is read at the bit-width that is active when the
    probe is built.

    Args:
        model: See `level_occupancy`.

    Attributes:
        layers: The `Quantize` layers, in the model's order.

    Raises:
        ValueError: `model` has no such layer or no symbolic inputs.
    """

    def __init__(self, model: keras.Model) -> None:
        if not getattr(model, 'inputs', None):
            raise ValueError(
                'model: expected a built Functional or Sequential tf_keras model, got the '
                f'{type(model).__name__} {getattr(model, "name", model)!r} without symbolic '
                'inputs. Build it with an Input layer.'
            )
        self.layers = [layer for layer in model.layers if _learns_thresholds(layer)]
        if not self.layers:
            raise ValueError(
                f'model: expected a Quantize layer with a LearnableThresholdQuantizer, got '
                f'{model.name!r} without one. Quantize the model with N2UQScheme first. Layers '
                'inside a nested model are not looked at.'
            )
        # `layer.input` is ambiguous: quantize_apply leaves its layers with calls in another model.
        calls = {node.layer: node for node in nodes_in_order(model)}
        tensors = [tensors_read(calls[layer])[0] for layer in self.layers]
        self._inputs_of_layers = keras.Model(model.inputs, tensors)
        self._read = tf.function(self._trace, reduce_retracing=True)

    def read(self, batch: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Runs the model on a batch in inference mode.

        Args:
            batch: The model's input with at least one example.

        Returns:
            `{layer name: (values, occupancy)}`: the tensor that enters the quantizer, float32
            `[batch, ...]`, and the fraction of its values on each level, float32 `[2**bits]`.

        Raises:
            ValueError: `batch` is empty.
        """
        batch = tf.nest.map_structure(tf.convert_to_tensor, batch)
        if any(int(tf.size(tensor)) == 0 for tensor in tf.nest.flatten(batch)):
            raise ValueError(
                'batch: expected at least one example, got an empty batch. Give a larger one.'
            )
        readings = self._read(batch)
        return {
            layer.name: (values.numpy(), occupancy.numpy())
            for layer, (values, occupancy) in zip(self.layers, readings, strict=True)
        }

    def _trace(self, batch: Any) -> list[tuple[tf.Tensor, tf.Tensor]]:
        tensors = tf.nest.flatten(self._inputs_of_layers(batch, training=False))
        return [
            (tf.cast(values, tf.float32), _occupancy(layer, values))
            for layer, values in zip(self.layers, tensors, strict=True)
        ]


def thresholds(layer: Quantize) -> np.ndarray:
    """Returns a quantizer's thresholds, in the units of the tensor that enters the layer.

    Threshold i lies at (d_{i-1} + a_i / 2) / input_scale, with d_0 the start and a_i the intervals.

    Source: Liu et al., "Nonuniform-to-Uniform Quantization", CVPR 2022, section 3.2.

    Args:
        layer: A built `Quantize` layer with a `LearnableThresholdQuantizer`.

    Returns:
        A float32 array `[2**bits - 1]`, rising.
    """
    _, weights = in_use(layer.quantizer, layer.quantizer_weights)
    intervals = n2uq.floored_intervals(tf.convert_to_tensor(weights['intervals']))
    middles = weights['start'] + tf.cumsum(intervals) - intervals / 2
    return (middles / weights['input_scale']).numpy()


def _learns_thresholds(layer: keras.layers.Layer) -> bool:
    if not isinstance(layer, Quantize):
        return False
    quantizer, _ = in_use(layer.quantizer, layer.quantizer_weights)
    return isinstance(quantizer, LearnableThresholdQuantizer)


def _occupancy(layer: Quantize, values: tf.Tensor) -> tf.Tensor:
    _, weights = in_use(layer.quantizer, layer.quantizer_weights)
    levels = n2uq.threshold_levels(
        values, weights['start'], weights['intervals'], weights['input_scale']
    )
    count = 1 + int(weights['intervals'].shape[0])
    counts = tf.math.bincount(tf.reshape(levels, [-1]), minlength=count, maxlength=count)
    return tf.cast(counts / tf.size(levels, out_type=counts.dtype), tf.float32)
