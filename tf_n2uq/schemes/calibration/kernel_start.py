"""Start values for the quantizers of kernels, and for the normalizations behind the kernels."""

from __future__ import annotations

import numpy as np
import tf_keras as keras

from tf_n2uq.graph.graph import Graph
from tf_n2uq.layers import QuantizedKernel
from tf_n2uq.quantizers.protocols import KernelQuantizer, LearningKernelQuantizer
from tf_n2uq.quantizers.statistics import TensorStatistics
from tf_n2uq.schemes.calibration.bias_correction import kernel_gain


def start_kernels(graph: Graph) -> None:
    """Gives the quantizers of kernels start values from their kernels, in place.

    Some methods give quantized kernels a scale of their own. Then the moving mean and the moving
    variance of a batch normalization behind the layer are scaled as well, so that the network
    still predicts. In training these statistics would follow by themselves.

    Args:
        graph: a graph that has just been rewritten, of built layers with their float weights.
    """
    # Calls may share a kernel, and a normalization behind it.
    started: set[int] = set()
    for step in graph:
        if isinstance(step.layer, QuantizedKernel):
            if id(step.layer) not in started:
                start_quantizers(step.layer)
            gain = scale_gain(step.layer)
            for reader in graph.consumers(step.output) if gain != 1.0 else ():
                is_line = type(reader.layer) is keras.layers.BatchNormalization
                if is_line and id(reader.layer) not in started:
                    bias = getattr(step.layer.layer, 'bias', None)
                    _rescale_statistics(reader.layer, gain, bias)
                    started.add(id(reader.layer))
            started.add(id(step.layer))


def start_quantizers(kernel: QuantizedKernel) -> None:
    """Sets the variables of a layer's kernel quantizers to values that suit the kernels.

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
    """Returns the factor that makes a quantized kernel as large as the float kernel.

    Args:
        kernel: the layer.

    Returns:
        `kernel_gain` if a quantizer of the layer does not keep the scale of a kernel, else 1.
    """
    for _, quantizer, _ in kernel.kernel_quantizers:
        # Quantizers of other packages are assumed to keep the scale.
        if isinstance(quantizer, KernelQuantizer) and not quantizer.keeps_scale:
            return kernel_gain(kernel)
    return 1.0


def in_quantized_scale(kernel: QuantizedKernel) -> list[np.ndarray]:
    """Returns the float weights of a layer, with kernels as large as the quantized kernels.

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
    """Changes the statistics of a normalization to those behind a kernel 1/gain times as large."""
    offset = 0.0 if bias is None else np.asarray(bias, np.float64)
    mean = np.asarray(normalization.moving_mean, np.float64)
    variance = np.asarray(normalization.moving_variance, np.float64)
    # Neither the bias nor epsilon is rescaled.
    normalization.moving_mean.assign((mean - offset) / gain + offset)
    epsilon = normalization.epsilon
    normalization.moving_variance.assign(np.maximum((variance + epsilon) / gain**2 - epsilon, 0.0))
