"""Keeps the first two moments of a layer's output where the float network had them."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.layers import Quantize, QuantizedKernel
from tf_n2uq.quantizers.statistics import TensorStatistics


def kernel_gain(layer: QuantizedKernel) -> float:
    """Returns the factor that brings a quantized kernel closest to the float one.

    That is the least-squares solution `<w, w_q> / <w_q, w_q>` over all kernels of the layer.
    """
    product = norm = 0.0
    for attribute, quantized in layer.quantized_kernels().items():
        exact = np.asarray(getattr(layer.layer, attribute), np.float64)
        product += float(np.sum(exact * quantized.numpy()))
        norm += float(np.sum(np.square(quantized.numpy(), dtype=np.float64)))
    return product / norm if norm > 0 and product > 0 else 1.0


def correct_bias(
    quantizer: Quantize,
    kernel: QuantizedKernel,
    line: keras.layers.Layer | None,
    measured: TensorStatistics,
    gain: float = 1.0,
) -> None:
    """Takes the mean that quantization moves each output channel by out of what follows.

    The moving mean of the batch normalization behind the layer takes it up, else the layer's
    bias; a layer with neither is left as it is, and so is a transposed convolution, whose
    outputs see different parts of its kernel. Borders are not considered.

    Args:
        quantizer: the calibrated quantizer in front of the layer.
        kernel: the layer, whose bias is changed in place where it has no batch normalization.
        line: the layer whose slope and offset the layer's operator takes on; the moving mean of a
            batch normalization is changed in place.
        measured: what enters the quantizer.
        gain: how much larger the float kernel is, where quantized ones have a scale of their own.
    """
    if isinstance(kernel.layer, keras.layers.Conv2DTranspose):
        return
    seen = tf.constant(measured.samples)
    levels = quantizer.quantizer(seen, False, weights=quantizer.quantizer_weights)
    mean, mean_quantized = np.mean(seen.numpy(), axis=0), np.mean(levels.numpy(), axis=0)
    ((attribute, quantized),) = kernel.quantized_kernels().items()
    exact = np.asarray(getattr(kernel.layer, attribute)) / gain
    depthwise = attribute == 'depthwise_kernel'
    moved = _mean_output(quantized.numpy(), mean_quantized, depthwise) - _mean_output(
        exact, mean, depthwise
    )
    if line is not None and type(line) is keras.layers.BatchNormalization:
        line.moving_mean.assign_add(moved)
    elif getattr(kernel.layer, 'bias', None) is not None:
        kernel.layer.bias.assign_sub(moved)


def _mean_output(kernel: np.ndarray, mean_input: np.ndarray, depthwise: bool) -> np.ndarray:
    summed = np.reshape(kernel, [-1, *kernel.shape[-2:]]).sum(axis=0)
    if depthwise:
        return np.reshape(np.einsum('cm,c->cm', summed, mean_input), [-1])
    inputs, filters = summed.shape
    groups = mean_input.size // inputs
    by_group = summed.reshape(inputs, groups, filters // groups)
    return np.einsum('igf,gi->gf', by_group, mean_input.reshape(groups, inputs)).reshape(-1)
