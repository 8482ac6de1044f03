"""Layers that multiply by a kernel: convolutions and dense layers."""

from __future__ import annotations

from typing import Any

import tf_keras as keras

from tf_n2uq.layers import QuantizedKernel
from tf_n2uq.layers.layer_spec import KernelAxes, Kind, LayerSpec, register_layer
from tf_n2uq.tflite.network.kernel_forms import (
    QuantizedKernelForm,
    multiply_dense,
    multiply_image,
    multiply_series,
    multiply_transposed,
)

_LAYERS = keras.layers
_KERNEL: KernelAxes = ('kernel', -1)
_DEPTHWISE: KernelAxes = ('depthwise_kernel', (-2, -1))
_POINTWISE: KernelAxes = ('pointwise_kernel', -1)


def _kernel(*kernels: KernelAxes, takes_on_relu: bool = True, **more: Any) -> LayerSpec:
    return LayerSpec(Kind.KERNEL, kernels=kernels, takes_on_relu=takes_on_relu, **more)


register_layer(_LAYERS.Conv1D, _kernel(_KERNEL, multiply=multiply_series))
register_layer(_LAYERS.Conv2D, _kernel(_KERNEL, multiply=multiply_image))
register_layer(_LAYERS.DepthwiseConv1D, _kernel(_DEPTHWISE, multiply=multiply_series))
register_layer(_LAYERS.DepthwiseConv2D, _kernel(_DEPTHWISE, multiply=multiply_image))
register_layer(_LAYERS.Dense, _kernel(_KERNEL, multiply=multiply_dense))
# The pixels of a transposed convolution are put in their places between the kernel and a ReLU.
register_layer(
    _LAYERS.Conv2DTranspose,
    _kernel(('kernel', -2), multiply=multiply_transposed, takes_on_relu=False),
)
# The rewrite makes two layers of these.
register_layer(_LAYERS.SeparableConv1D, _kernel(_DEPTHWISE, _POINTWISE))
register_layer(_LAYERS.SeparableConv2D, _kernel(_DEPTHWISE, _POINTWISE))
register_layer(QuantizedKernel, _kernel(form=QuantizedKernelForm()))
