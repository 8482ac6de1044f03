"""Start values for what stands around a kernel that has just been given a quantizer."""

from __future__ import annotations

import numpy as np
import tf_keras as keras

from tf_n2uq.graph.graph import Graph
from tf_n2uq.layers import QuantizedKernel
from tf_n2uq.quantizers.protocols import KernelQuantizer, LearningKernelQuantizer
from tf_n2uq.quantizers.statistics import TensorStatistics
from tf_n2uq.schemes.calibration.bias_correction import kernel_gain


def start_kernels(graph: Graph) -> None:
    """Lets the kernels' quantizers start from their kernels, in place.

    Where quantized kernels come in a scale of their own, the moving mean and variance of the batch
    normalizations behind a layer change with it, so that the network still predicts: in training
    they would follow by themselves.

    Args:
        graph: what the rewrite has just made, of built layers with their float weights.
    """
    for step in graph:
        if isinstance(step.layer, QuantizedKernel):
            start_quantizers(step.layer)
            gain = scale_gain(step.layer)
            for reader in graph.consumers(step.output) if gain != 1.0 else ():
                if type(reader.layer) is keras.layers.BatchNormalization:
                    bias = getattr(step.layer.layer, 'bias', None)
                    _rescale_statistics(reader.layer, gain, bias)


def start_quantizers(kernel: QuantizedKernel) -> None:
    """Sets the variables of a layer's kernel quantizers to what suits the kernels.

    Args:
        kernel: the layer, changed in place.
    """
    for attribute, quantizer, weights in kernel.kernel_quantizers:
        if weights and isinstance(quantizer, LearningKernelQuantizer):
            values = np.asarray(getattr(kernel.layer, attribute), np.float32)
            rows = values.reshape(-1, values.shape[-1])
            statistics = TensorStatistics(float(values.min()), float(values.max()), rows)
            for name, value in quantizer.calibrated(statistics).items():
                weights[name].assign(np.reshape(value, weights[name].shape))


def scale_gain(kernel: QuantizedKernel) -> float:
    """Returns what a quantized kernel is to be multiplied by to be as large as the float one.

    Args:
        kernel: the layer.

    Returns:
        `kernel_gain` of a layer whose quantizers do not keep the scale of a kernel; 1 else.
    """
    for _, quantizer, _ in kernel.kernel_quantizers:
        # Those of somebody else are taken to keep it.
        if isinstance(quantizer, KernelQuantizer) and not quantizer.keeps_scale:
            return kernel_gain(kernel)
    return 1.0


def in_quantized_scale(kernel: QuantizedKernel) -> list[np.ndarray]:
    """Returns a layer's float weights, the kernels as large as the quantized ones.

    Args:
        kernel: the layer.

    Returns:
        Arrays in the order of the wrapped layer's `get_weights`.
    """
    gain = scale_gain(kernel)
    kernels = {id(getattr(kernel.layer, name)) for name, _, _ in kernel.kernel_quantizers}
    return [
        np.asarray(variable) / np.float32(gain if id(variable) in kernels else 1.0)
        for variable in kernel.layer.weights
    ]


def _rescale_statistics(
    normalization: keras.layers.BatchNormalization, gain: float, bias: np.ndarray | None
) -> None:
    """Makes the moving moments of an output those of the output of a kernel 1/gain as large."""
    offset = 0.0 if bias is None else np.asarray(bias, np.float64)
    mean = np.asarray(normalization.moving_mean, np.float64)
    variance = np.asarray(normalization.moving_variance, np.float64)
    # The bias is not rescaled; what is added to the variance is not either.
    normalization.moving_mean.assign((mean - offset) / gain + offset)
    epsilon = normalization.epsilon
    normalization.moving_variance.assign(np.maximum((variance + epsilon) / gain**2 - epsilon, 0.0))
