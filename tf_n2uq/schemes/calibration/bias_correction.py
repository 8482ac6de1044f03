"""Correction of biases, so that outputs have the mean that they have in the float network."""

from __future__ import annotations

import numpy as np
import tensorflow as tf
import tf_keras as keras

from tf_n2uq.layers import Quantize, QuantizedKernel
from tf_n2uq.quantizers.statistics import TensorStatistics


def kernel_gain(layer: QuantizedKernel) -> float:
    """Returns the factor that brings a quantized kernel closest to the float one.

    This is the least-squares solution `<w, w_q> / <w_q, w_q>` over all kernels of the layer.

    Args:
        layer: a built layer.

    Returns:
        The factor, > 0; 1 for a kernel of zeros.
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
    part: float = 1.0,
) -> None:
    """Makes up for the change of the mean of each output channel that quantization causes.

    The change is added to the moving mean of the batch normalization behind the layer, or else
    subtracted from the layer's bias. A layer with neither is left as it is. A transposed
    convolution is left as it is, too, because its outputs see different parts of its kernel. The
    padding at the border of images is not considered.

    Args:
        quantizer: the calibrated quantizer in front of the layer.
        kernel: the layer. Its bias is changed in place if no batch normalization is behind it.
        line: the layer whose slope and offset the layer's operator takes on, or None. The moving
            mean of a batch normalization is changed in place.
        measured: the statistics of the tensor that enters the quantizer.
        gain: the factor by which the float kernel is larger than a quantized kernel that has a
            scale of its own.
        part: the part of the change that is made. Where n calls share what is changed, each of them
            has 1/n of it, so that the change is the mean of all calls.
    """
    if isinstance(kernel.layer, keras.layers.Conv2DTranspose):
        return
    seen = tf.constant(measured.samples)
    levels = quantizer.quantizer(seen, False, weights=quantizer.quantizer_weights)
    mean, mean_quantized = np.mean(seen.numpy(), axis=0), np.mean(levels.numpy(), axis=0)
    ((attribute, quantized),) = kernel.quantized_kernels().items()
    exact = np.asarray(getattr(kernel.layer, attribute)) / gain
    depthwise = attribute == 'depthwise_kernel'
    moved = part * (
        _mean_output(quantized.numpy(), mean_quantized, depthwise)
        - _mean_output(exact, mean, depthwise)
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
